//! `qstore diff`: how two checkpoints differ: tensors that were added, removed or changed, and by how much.
//!
//! One tensor of each is in memory at a time. Every byte that is compared was verified.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::amount;
use crate::output::json::{self, Node, Number};
use crate::output::table::{Align, Cell, Table};
use crate::place::{Kind, Place};
use crate::tensors::Distance;
use qstore_checkpoint::Select;
use qstore_schema::{State, StateDict, Tensor};
use qstore_zarr::{CheckpointReader, import_safetensors_flat};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Show how two checkpoints differ
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore diff ckpt/epoch_0018.zarr.zip ckpt/epoch_0019.zarr.zip
  qstore diff old.safetensors new.safetensors --tol 1e-6

The numbers of a tensor are compared exactly, unless --tol is given.")]
pub struct Diff {
    /// A checkpoint, or a safetensors file
    a: PathBuf,
    /// The one to compare it with
    b: PathBuf,
    /// Differences up to this count as none
    #[arg(long, value_name = "X", default_value_t = 0.0)]
    tol: f64,
    /// Only tensors whose path matches: model/h.*.attn.*
    #[arg(long, value_name = "GLOB")]
    tensors: Option<String>,
    /// Show equal tensors, too
    #[arg(long)]
    all: bool,
}

#[derive(Serialize)]
struct Body {
    a: String,
    b: String,
    tol: f64,
    tensors: Vec<Row>,
    equal: usize,
    metadata: BTreeMap<String, [Option<serde_json::Value>; 2]>,
}

#[derive(Serialize)]
struct Row {
    path: String,
    change: Change,
    a: Option<Form>,
    b: Option<Form>,
    max: Option<Number>,
    l2: Option<Number>,
    differing: Option<u64>,
    nans: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Change {
    Equal,
    Changed,
    Reshaped,
    Added,
    Removed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Form {
    dtype: String,
    shape: Vec<usize>,
}

/// Something with tensors.
enum Side {
    Checkpoint(Box<CheckpointReader>, StateDict),
    File(Vec<(String, Tensor)>),
}

impl Diff {
    /// Runs the verb.
    ///
    /// # Errors
    /// If one of the two cannot be read, or is damaged.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let (a, b) = (Side::open(&self.a)?, Side::open(&self.b)?);
        let select = self.tensors.clone().map_or(Select::All, Select::Glob);
        let forms = |side: &Side| -> Result<Vec<(String, Form)>, Failure> {
            let forms = side.forms()?.into_iter();
            Ok(forms.filter(|(path, _)| select.matches(path)).collect())
        };
        let (of_a, of_b) = (forms(&a)?, forms(&b)?);
        let in_b: BTreeMap<_, _> = of_b.iter().map(|(path, form)| (path, form)).collect();
        let in_a: BTreeMap<_, _> = of_a.iter().map(|(path, form)| (path, form)).collect();
        let mut rows = Vec::new();
        for (path, form) in &of_a {
            let other = in_b.get(path).map(|form| (*form).clone());
            rows.push(self.compare(path, form.clone(), other, &a, &b)?);
            console.progress(format!("compared {} of {} tensors", rows.len(), of_a.len()));
        }
        let added = of_b.iter().filter(|(path, _)| !in_a.contains_key(path));
        rows.extend(
            added.map(|(path, form)| Row::new(path, Change::Added, None, Some(form.clone()))),
        );
        let equal = rows.iter().filter(|row| row.change == Change::Equal).count();
        if !self.all {
            rows.retain(|row| row.change != Change::Equal);
        }
        let metadata = changed_metadata(a.metadata(), b.metadata());
        let (a, b) = (json::path(&self.a), json::path(&self.b));
        let body = Body { a, b, tol: self.tol, tensors: rows, equal, metadata };
        if console.is_json() {
            console.document("diff", &body)?;
        } else {
            body.print(console)?;
        }
        Ok(Exit::Done)
    }

    fn compare(
        &self,
        path: &str,
        form: Form,
        other: Option<Form>,
        a: &Side,
        b: &Side,
    ) -> Result<Row, Failure> {
        let Some(other) = other else {
            return Ok(Row::new(path, Change::Removed, Some(form), None));
        };
        if form != other {
            return Ok(Row::new(path, Change::Reshaped, Some(form), Some(other)));
        }
        let (one, two) = (a.tensor(path)?, b.tensor(path)?);
        if one.data() == two.data() {
            return Ok(Row::new(path, Change::Equal, Some(form), Some(other)));
        }
        let distance = Distance::between(&one, &two);
        let is_equal = distance.nans == 0 && distance.max <= self.tol;
        let change = if is_equal { Change::Equal } else { Change::Changed };
        Ok(Row {
            max: Some(Number(distance.max)),
            l2: Some(Number(distance.l2)),
            differing: Some(distance.differing),
            nans: Some(distance.nans),
            ..Row::new(path, change, Some(form), Some(other))
        })
    }
}

impl Row {
    fn new(path: &str, change: Change, a: Option<Form>, b: Option<Form>) -> Self {
        Self { path: path.into(), change, a, b, max: None, l2: None, differing: None, nans: None }
    }
}

impl Side {
    fn open(path: &Path) -> Result<Self, Failure> {
        let place = Place::find(path)?;
        match place.kind {
            Kind::Checkpoint => {
                let reader = CheckpointReader::open(path)?;
                let metadata = reader.info()?.metadata;
                Ok(Self::Checkpoint(Box::new(reader), metadata))
            }
            Kind::Safetensors => {
                let state = import_safetensors_flat(path)?;
                let tensors = state.tensors();
                Ok(Self::File(tensors.map(|(path, tensor)| (path, tensor.clone())).collect()))
            }
            _ => Err(place.refused("diff", "two checkpoints or safetensors files")),
        }
    }

    fn forms(&self) -> Result<Vec<(String, Form)>, Failure> {
        let form = |dtype: qstore_schema::Dtype, shape: &[usize]| Form {
            dtype: dtype.to_string(),
            shape: shape.to_vec(),
        };
        Ok(match self {
            Self::Checkpoint(reader, _) => {
                let tensors = reader.tensors()?.into_iter();
                tensors.map(|info| (info.path, form(info.dtype, &info.shape))).collect()
            }
            Self::File(tensors) => {
                let tensors = tensors.iter();
                tensors
                    .map(|(path, tensor)| (path.clone(), form(tensor.dtype(), tensor.shape())))
                    .collect()
            }
        })
    }

    fn tensor(&self, path: &str) -> Result<Tensor, Failure> {
        match self {
            Self::Checkpoint(reader, _) => Ok(reader.tensor(path)?),
            Self::File(tensors) => {
                let found = tensors.iter().find(|(known, _)| known == path);
                let found = found.map(|(_, tensor)| tensor.clone());
                found.ok_or_else(|| Failure::missing(format!("there is no tensor {path}")))
            }
        }
    }

    fn metadata(&self) -> Option<&StateDict> {
        match self {
            Self::Checkpoint(_, metadata) => Some(metadata),
            Self::File(_) => None,
        }
    }
}

/// What differs in the metadata, by the key at the top.
fn changed_metadata(
    a: Option<&StateDict>,
    b: Option<&StateDict>,
) -> BTreeMap<String, [Option<serde_json::Value>; 2]> {
    let (Some(a), Some(b)) = (a, b) else { return BTreeMap::new() };
    let json = |node: &State| serde_json::to_value(Node(node)).ok();
    let mut changed = BTreeMap::new();
    for (key, node) in a.iter() {
        let (one, other) = (json(node), b.get(key.clone()).and_then(json));
        if one != other {
            changed.insert(key.to_string(), [one, other]);
        }
    }
    for (key, node) in b.iter().filter(|(key, _)| a.get((*key).clone()).is_none()) {
        changed.insert(key.to_string(), [None, json(node)]);
    }
    changed
}

impl Body {
    fn print(&self, console: &mut Console<'_>) -> Result<(), Failure> {
        let mut table = Table::new()
            .column("tensor", Align::Left)
            .column("change", Align::Left)
            .column("max |difference|", Align::Right)
            .column("L2", Align::Right)
            .column("differing", Align::Right)
            .column("NaN", Align::Right)
            .column("form", Align::Left);
        for row in &self.tensors {
            let number = |number: Option<Number>| {
                number.map_or(String::new(), |Number(value)| amount::float(value, 4))
            };
            let count = |count: Option<u64>| count.map_or(String::new(), amount::count);
            let change = match row.change {
                Change::Equal => Cell::new("equal"),
                Change::Changed => Cell::new("changed").doubtful(),
                Change::Reshaped => Cell::new("reshaped").doubtful(),
                Change::Added => Cell::new("added").good(),
                Change::Removed => Cell::new("removed").bad(),
            };
            let nans = match row.nans {
                None | Some(0) => Cell::default(),
                Some(nans) => Cell::new(amount::count(nans)).bad(),
            };
            table.row([
                Cell::new(&row.path),
                change,
                number(row.max).into(),
                number(row.l2).into(),
                count(row.differing).into(),
                nans,
                forms(row).into(),
            ]);
        }
        if !table.is_empty() {
            console.table(table, "--json has them")?;
        }
        for (key, [a, b]) in &self.metadata {
            let text = |value: &Option<serde_json::Value>| {
                value.as_ref().map_or("(none)".to_owned(), ToString::to_string)
            };
            let line = format!("metadata {key}: {} -> {}", text(a), text(b));
            console.line(crate::output::escape::shown(&line))?;
        }
        let differ = self.tensors.iter().filter(|row| row.change != Change::Equal).count();
        let tensors = if differ == 1 { "tensor differs" } else { "tensors differ" };
        console.line(format!("{differ} {tensors}, {} equal", self.equal))
    }
}

fn forms(row: &Row) -> String {
    let form = |form: &Form| {
        let lens: Vec<_> = form.shape.iter().map(ToString::to_string).collect();
        format!("{} ({})", form.dtype, lens.join(", "))
    };
    match (&row.a, &row.b) {
        (Some(a), Some(b)) if a != b => format!("{} -> {}", form(a), form(b)),
        (Some(one), _) | (None, Some(one)) => form(one),
        (None, None) => String::new(),
    }
}
