//! Which objects are arrays, and where their elements are.
//!
//! There are two doors, the buffer protocol and DLPack. Arrays of libraries that have neither, or not for every element
//! type, are first made arrays of numpy over the same memory, by the library itself. numpy is imported only then, and a
//! library only if the program has imported it.

use crate::memory::{Capsule, Export, Source, Target, bytes_of};
use pyo3::exceptions::{PyBufferError, PyException, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyMemoryView, PyString};
use qstore_schema::{Dtype, Tensor};

/// The memory behind an array.
enum Memory {
    Buffer(Export),
    Capsule(Capsule),
}

/// An array of numbers of another library.
pub(crate) struct Array {
    memory: Memory,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    /// The bytes of a number whose order is reversed, or 1.
    swapped: usize,
}

impl Array {
    /// The array that an object is; `None` if it is something else.
    ///
    /// # Errors
    /// `TypeError`, with the reason, for an array that cannot be saved; what the library raises.
    pub(crate) fn of(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if is_ndarray(object)
            && let Ok(array) = Self::export(object, None, false)
        {
            return Ok(Some(array));
        }
        if let Some(array) = plain_tensor(object) {
            return Ok(Some(array));
        }
        plain_array(object)?.map(|plain| Self::over(plain, false)).transpose()
    }

    /// The array that an object is, to be written to; `None` if it is something else, if it cannot be written to, or if
    /// its library would hand out a copy.
    ///
    /// # Errors
    /// As [`of`](Self::of).
    pub(crate) fn writable(object: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        if let Some(array) = plain_tensor(object) {
            return Ok(Some(array));
        }
        if is_read_by_copy(object)? {
            return Ok(None);
        }
        let Some(plain) = plain_array(object)? else { return Ok(None) };
        match Self::over(plain, true) {
            Ok(array) => Ok(Some(array)),
            // numpy raises ValueError for memory that is read-only, others BufferError.
            Err(error) if is_refusal(object.py(), &error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same elements without a copy, which keeps the object alive; the array itself, if that does not pay or if
    /// something could change them.
    ///
    /// # Errors
    /// What the object raises.
    pub(crate) fn shared(self, object: &Bound<'_, PyAny>) -> PyResult<Result<Tensor, Self>> {
        let pays = self.len() >= SHARED_MIN && self.swapped == 1;
        let Self { memory: Memory::Buffer(export), dtype, shape, swapped } = self else {
            return Ok(Err(self));
        };
        let again =
            |export| Self { memory: Memory::Buffer(export), dtype, shape: shape.clone(), swapped };
        if !pays || !export.is_read_only() || !is_unchanging(object)? {
            return Ok(Err(again(export)));
        }
        Ok(match bytes_of(export) {
            Ok(bytes) => Ok(Tensor::new(dtype, shape, bytes)
                .map_err(|error| PyTypeError::new_err(error.to_string()))?),
            Err(export) => Err(again(export)),
        })
    }

    /// The number of bytes of its elements.
    pub(crate) fn len(&self) -> u64 {
        self.shape.iter().product::<usize>() as u64 * self.dtype.size() as u64
    }

    /// Where its first element is.
    pub(crate) fn address(&self) -> usize {
        match &self.memory {
            Memory::Buffer(export) => export.address(),
            Memory::Capsule(capsule) => capsule.address(),
        }
    }

    fn strides(&self) -> &[isize] {
        match &self.memory {
            Memory::Buffer(export) => export.strides(),
            Memory::Capsule(capsule) => capsule.strides(),
        }
    }

    /// Whether both are the same memory, seen in the same way, as tied weights are.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let seen = |array: &Self| (array.address(), array.dtype, array.swapped);
        seen(self) == seen(other) && self.shape == other.shape && self.strides() == other.strides()
    }

    pub(crate) fn source(&self) -> Source<'_> {
        match &self.memory {
            Memory::Buffer(export) => export.source(self.swapped),
            Memory::Capsule(capsule) => capsule.source(),
        }
    }

    pub(crate) fn target(&self) -> PyResult<Target<'_>> {
        match &self.memory {
            Memory::Buffer(export) => export.target(self.swapped),
            Memory::Capsule(capsule) => capsule.target(),
        }
    }

    fn over(plain: Plain<'_>, is_written: bool) -> PyResult<Self> {
        match plain {
            Plain::Buffer(object, dtype) => Self::export(&object, dtype, is_written),
            Plain::Capsule(capsule) => Ok(Self::behind(capsule)),
        }
    }

    fn behind(capsule: Capsule) -> Self {
        let (dtype, shape) = (capsule.dtype(), capsule.shape().to_vec());
        Self { memory: Memory::Capsule(capsule), dtype, shape, swapped: 1 }
    }

    fn export(object: &Bound<'_, PyAny>, dtype: Option<Dtype>, is_written: bool) -> PyResult<Self> {
        let export = Export::of(object, is_written)?;
        let format = export.format();
        let Some((found, swapped)) = element_of(format, export.item_len()) else {
            let text = format!(
                "its elements are of the format `{format}`, not numbers of a fixed size that a checkpoint has"
            );
            return Err(PyTypeError::new_err(text));
        };
        let shape = export.shape();
        let dtype = dtype.unwrap_or(found);
        Ok(Self { memory: Memory::Buffer(export), dtype, shape, swapped })
    }
}

/// Arrays with fewer bytes are copied: that takes less time than looking for what could change them.
const SHARED_MIN: u64 = 1 << 16;

/// How many views an array may be behind.
const VIEWS_MAX: usize = 16;

/// Whether nothing can change the elements of an array: it is `bytes`, an array of jax, or a view that cannot be written
/// to of one of these. An array of numpy that owns its memory does not count, because it can be made writable again.
fn is_unchanging(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    let mut object = object.clone();
    for _ in 0..VIEWS_MAX {
        if object.is_instance_of::<PyBytes>() || instance_of(&object, "jax", "Array")?.is_some() {
            return Ok(true);
        }
        object = if instance_of(&object, "numpy", "ndarray")?.is_some() {
            if object
                .getattr(intern!(py, "flags"))?
                .getattr(intern!(py, "writeable"))?
                .is_truthy()?
            {
                return Ok(false);
            }
            object.getattr(intern!(py, "base"))?
        } else if object.is_instance_of::<PyMemoryView>() {
            object.getattr(intern!(py, "obj"))?
        } else {
            return Ok(false);
        };
    }
    Ok(false)
}

fn is_refusal(py: Python<'_>, error: &PyErr) -> bool {
    error.is_instance_of::<PyBufferError>(py)
        || error.is_instance_of::<pyo3::exceptions::PyValueError>(py)
}

/// The class `numpy.ndarray`, once one of its objects was seen. Most arrays are of exactly this class, and states have
/// thousands of them: so they are not looked up among the modules again.
static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

fn is_ndarray(object: &Bound<'_, PyAny>) -> bool {
    NDARRAY.get(object.py()).is_some_and(|class| object.get_type().is(class))
}

/// A way to the memory of an object.
enum Plain<'py> {
    /// By the buffer protocol, and the element type, if it is not that of the buffer.
    Buffer(Bound<'py, PyAny>, Option<Dtype>),
    Capsule(Capsule),
}

/// What is needed of torch for most of its tensors, once one of them was seen.
struct Torch {
    tensor: Py<PyAny>,
    parameter: Py<PyAny>,
    to_dlpack: Py<PyAny>,
}

static TORCH: PyOnceLock<Torch> = PyOnceLock::new();

fn know_torch(py: Python<'_>) -> PyResult<&Torch> {
    TORCH.get_or_try_init(py, || {
        let torch = py.import("torch")?;
        Ok(Torch {
            tensor: torch.getattr("Tensor")?.unbind(),
            parameter: py.import("torch.nn")?.getattr("Parameter")?.unbind(),
            to_dlpack: py.import("torch.utils.dlpack")?.getattr("to_dlpack")?.unbind(),
        })
    })
}

/// A tensor of torch in the memory of this machine, as it is; `None` for all others, and for those that DLPack does not
/// describe. Subclasses are others: they may not be what their memory is.
fn plain_tensor(object: &Bound<'_, PyAny>) -> Option<Array> {
    let torch = TORCH.get(object.py())?;
    let class = object.get_type();
    if !class.is(&torch.tensor) && !class.is(&torch.parameter) {
        return None;
    }
    capsule_of(object, torch).ok().flatten().map(Array::behind)
}

/// `None` for what torch computes when it is read.
fn capsule_of(tensor: &Bound<'_, PyAny>, torch: &Torch) -> PyResult<Option<Capsule>> {
    let py = tensor.py();
    for is_lazy in [intern!(py, "is_conj"), intern!(py, "is_neg")] {
        if tensor.call_method0(is_lazy)?.is_truthy()? {
            return Ok(None);
        }
    }
    Capsule::of(torch.to_dlpack.bind(py).call1((tensor,))?, true).map(Some)
}

fn plain_array<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Plain<'py>>> {
    let py = object.py();
    match library_of(object)?.as_str() {
        "torch" => {
            if let Some(tensor) = instance_of(object, "torch", "Tensor")? {
                return torch(&tensor).map(Some);
            }
        }
        "jax" | "jaxlib" if object.hasattr(intern!(py, "__array__"))? => {
            let numpy = import_numpy(py)?;
            return numpy_array(numpy.call_method1("asarray", (object,))?).map(Some);
        }
        "tensorflow" | "keras" if object.hasattr(intern!(py, "numpy"))? => {
            return numpy_array(object.call_method0("numpy")?).map(Some);
        }
        _ => {}
    }
    // A scalar is an array without dimensions.
    for class in ["ndarray", "generic"] {
        if let Some(array) = instance_of(object, "numpy", class)? {
            let kind = object.get_type();
            if class == "ndarray" && kind.name()? == class && library_of(object)? == "numpy" {
                let _ = NDARRAY.set(py, kind.into_any().unbind());
            }
            return numpy_array(array).map(Some);
        }
    }
    if Export::can_be_had(object) {
        return Ok(Some(Plain::Buffer(object.clone(), None)));
    }
    for method in ["__array_interface__", "__array_struct__"] {
        if object.hasattr(method)? {
            let numpy = import_numpy(py)?;
            return numpy_array(numpy.call_method1("asarray", (object,))?).map(Some);
        }
    }
    if object.hasattr("__dlpack__")? {
        // Whether it may be written to is not said.
        let capsule = Capsule::of(object.call_method0("__dlpack__")?, false)?;
        return Ok(Some(Plain::Capsule(capsule)));
    }
    Ok(None)
}

/// Whether what [`plain_array`] returns is, or may be, not the memory of the object itself.
fn is_read_by_copy(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    if matches!(library_of(object)?.as_str(), "tensorflow" | "keras") {
        return Ok(true);
    }
    let Some(tensor) = instance_of(object, "torch", "Tensor")? else { return Ok(false) };
    let device = tensor.getattr("device")?.getattr("type")?;
    Ok(device.cast::<PyString>()?.to_cow()? != "cpu"
        || tensor.call_method0("is_conj")?.is_truthy()?
        || tensor.call_method0("is_neg")?.is_truthy()?)
}

/// The first part of the name of the module that defines the type.
fn library_of(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let module = object.get_type().getattr(intern!(object.py(), "__module__"))?;
    let Ok(module) = module.cast::<PyString>() else { return Ok(String::new()) };
    let module = module.to_cow()?;
    Ok(module.split('.').next().unwrap_or_default().to_owned())
}

/// The object, if the program has imported this module and the object is one of its class.
fn instance_of<'py>(
    object: &Bound<'py, PyAny>,
    module: &str,
    class: &str,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = object.py();
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    let Ok(module) = modules.get_item(module) else { return Ok(None) };
    let Ok(class) = module.getattr(class) else { return Ok(None) };
    Ok(object.is_instance(&class)?.then(|| object.clone()))
}

/// The name of its class.
pub(crate) fn class_of(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string())
}

fn import_numpy(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "numpy")).map_err(|error| {
        let refused =
            PyTypeError::new_err("it can only be read through numpy, which cannot be imported");
        refused.set_cause(py, Some(error));
        refused
    })
}

/// An array or a scalar of numpy. Those of other packages' element types, such as bfloat16, have no buffer, but one of
/// integers of the same size over the same memory has.
fn numpy_array(array: Bound<'_, PyAny>) -> PyResult<Plain<'_>> {
    let py = array.py();
    if instance_of(&array, "numpy.ma", "MaskedArray")?.is_some() {
        let text = "it is a masked array, whose mask would be lost; save its `data` and its `mask`";
        return Err(PyTypeError::new_err(text));
    }
    let dtype = array.getattr(intern!(py, "dtype"))?;
    let name = dtype.getattr(intern!(py, "name"))?;
    let name = name.cast::<PyString>()?.to_cow()?;
    let as_integers = match &*name {
        "bfloat16" => Some((Dtype::BFloat16, "uint16")),
        "float8_e4m3fn" => Some((Dtype::Float8E4M3, "uint8")),
        "float8_e5m2" => Some((Dtype::Float8E5M2, "uint8")),
        _ => None,
    };
    if let Some((dtype, integers)) = as_integers {
        let view = array.call_method1(intern!(py, "view"), (integers,))?;
        return Ok(Plain::Buffer(view, Some(dtype)));
    }
    // Times and texts have no format, and objects have one that must not be used.
    let kind = dtype.getattr(intern!(py, "kind"))?;
    if matches!(&*kind.cast::<PyString>()?.to_cow()?, "b" | "i" | "u" | "f" | "c") {
        return Ok(Plain::Buffer(array, None));
    }
    Err(PyTypeError::new_err(format!(
        "its elements are of type {name}, which a checkpoint does not have"
    )))
}

/// The memory of a tensor of torch; of another device, that of a copy. Where DLPack does not do, as an array of numpy.
fn torch<'py>(tensor: &Bound<'py, PyAny>) -> PyResult<Plain<'py>> {
    let py = tensor.py();
    let refused = |what: &str| Err(PyTypeError::new_err(format!("it is a {what} tensor of torch")));
    if tensor.getattr(intern!(py, "is_nested"))?.is_truthy()? {
        return refused("nested");
    }
    if tensor.getattr(intern!(py, "layout"))?.to_string() != "torch.strided" {
        return refused("sparse");
    }
    if tensor.getattr(intern!(py, "is_quantized"))?.is_truthy()? {
        return refused("quantized");
    }
    let mut tensor = tensor.call_method0(intern!(py, "detach"))?;
    match tensor.getattr("device")?.getattr("type")?.cast::<PyString>()?.to_cow()?.as_ref() {
        "cpu" => {}
        "meta" => return refused("meta"),
        _ => tensor = tensor.call_method0("cpu")?,
    }
    for (is_lazy, resolve) in [("is_conj", "resolve_conj"), ("is_neg", "resolve_neg")] {
        if tensor.call_method0(is_lazy)?.is_truthy()? {
            tensor = tensor.call_method0(resolve)?;
        }
    }
    let torch = know_torch(py)?;
    // A subclass may refuse numpy, and would not refuse this.
    if tensor.get_type().is(&torch.tensor)
        && let Ok(Some(capsule)) = capsule_of(&tensor, torch)
    {
        return Ok(Plain::Capsule(capsule));
    }
    let name = tensor.getattr(intern!(py, "dtype"))?.to_string();
    let as_integers = match name.as_str() {
        "torch.bfloat16" => Some((Dtype::BFloat16, "int16")),
        "torch.float8_e4m3fn" => Some((Dtype::Float8E4M3, "uint8")),
        "torch.float8_e5m2" => Some((Dtype::Float8E5M2, "uint8")),
        _ => None,
    };
    if let Some((dtype, integers)) = as_integers {
        let integers = py.import("torch")?.getattr(integers)?;
        let view = tensor.call_method1("view", (integers,))?;
        return Ok(Plain::Buffer(view.call_method0("numpy")?, Some(dtype)));
    }
    let array = tensor.call_method0(intern!(py, "numpy")).map_err(|error| {
        if !error.is_instance_of::<PyException>(py) {
            return error;
        }
        let is_distributed = instance_of(&tensor, "torch.distributed.tensor", "DTensor");
        let refused = PyTypeError::new_err(match is_distributed {
            Ok(Some(_)) => {
                "it is a part of a whole; save its `full_tensor()`, or on each rank its `to_local()`".into()
            }
            _ => format!("torch makes no array of a {} with elements {name}", class_of(&tensor)),
        });
        refused.set_cause(py, Some(error));
        refused
    })?;
    Ok(Plain::Buffer(array, None))
}

/// The element type of a format of the module `struct`, and the bytes of a number if their order is reversed.
fn element_of(format: &str, len: usize) -> Option<(Dtype, usize)> {
    let code = format.strip_prefix(['@', '=', '<', '>', '!', '^']).unwrap_or(format);
    let is_big = format.starts_with(['>', '!']);
    let dtype = match (code, len) {
        ("?", 1) => Dtype::Bool,
        ("b" | "h" | "i" | "l" | "q" | "n", 1) => Dtype::Int8,
        ("b" | "h" | "i" | "l" | "q" | "n", 2) => Dtype::Int16,
        ("b" | "h" | "i" | "l" | "q" | "n", 4) => Dtype::Int32,
        ("b" | "h" | "i" | "l" | "q" | "n", 8) => Dtype::Int64,
        ("B" | "H" | "I" | "L" | "Q" | "N", 1) => Dtype::UInt8,
        ("B" | "H" | "I" | "L" | "Q" | "N", 2) => Dtype::UInt16,
        ("B" | "H" | "I" | "L" | "Q" | "N", 4) => Dtype::UInt32,
        ("B" | "H" | "I" | "L" | "Q" | "N", 8) => Dtype::UInt64,
        ("e", 2) => Dtype::Float16,
        ("f", 4) => Dtype::Float32,
        ("d", 8) => Dtype::Float64,
        ("Zf" | "F", 8) => Dtype::Complex64,
        ("Zd" | "D", 16) => Dtype::Complex128,
        _ => return None,
    };
    let number = match dtype {
        Dtype::Complex64 | Dtype::Complex128 => len / 2,
        _ => len,
    };
    Some((dtype, if is_big { number } else { 1 }))
}
