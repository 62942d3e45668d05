//! `qstore watch`: screens of two sizes are in `tests/golden` and drawn without a terminal; in a real one it is
//! checked that keys arrive and that the terminal is afterwards what it was, also after a panic and a signal.
//! `QSTORE_WATCH_PICTURES` names a directory for pictures.

use super::kit::{call, enter, package, place, scratch};
use super::terminal_picture::svg;
use qstore_cli::Exit;
use qstore_cli::console::Terminal as _;
use qstore_cli::watch::{Dashboard, Eyes, Key, SystemTerminal, draw};
use qstore_logger::MetricsRow;
use qstore_os::testing::Pty;
use qstore_run::{Direction, Run, RunPlace, RunSettings};
use ratatui_core::backend::TestBackend;
use ratatui_core::buffer::Buffer;
use ratatui_core::terminal::Terminal;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use std::{env, fs};

/// A screen of that size after these keys.
fn screen(eyes: &mut Eyes, size: (u16, u16), keys: &str) -> Buffer {
    let mut dashboard = Dashboard::new(size);
    look(eyes, &mut dashboard);
    for key in keys.chars() {
        dashboard.press(match key {
            '\r' => Key::Enter,
            '\t' => Key::Tab,
            char => Key::Char(char),
        });
        look(eyes, &mut dashboard);
    }
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame, &dashboard)).unwrap();
    terminal.backend().buffer().clone()
}

fn look(eyes: &mut Eyes, dashboard: &mut Dashboard) {
    while eyes.look(dashboard).unwrap().pause.is_zero() {}
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let line = |cells: &[ratatui_core::buffer::Cell]| {
        let mut text = String::new();
        let mut hidden = 0;
        for cell in cells {
            if hidden == 0 {
                text.push_str(cell.symbol());
                hidden = unicode_width::UnicodeWidthStr::width(cell.symbol());
            }
            hidden = hidden.saturating_sub(1);
        }
        text.trim_end().to_owned() + "\n"
    };
    buffer.content.chunks(width).map(line).collect()
}

fn of_runs(path: &str) -> Eyes {
    let dir = PathBuf::from(path);
    let is_run = dir.join("run.json").is_file();
    let paths = if is_run { vec![dir.clone()] } else { Vec::new() };
    Eyes::new(place(), paths, (!is_run).then_some(dir), None)
}

#[test]
fn screens_are_as_they_were() {
    enter();
    for (name, path, size, keys) in [
        ("watch-80x24", "runs/run_003", (80, 24), ""),
        ("watch-120x40", "runs/run_003", (120, 40), ""),
        ("watch-large", "runs/run_003", (80, 24), "lys\r"),
        ("watch-checkpoints", "runs/run_003", (80, 24), "\t"),
        ("watch-failed", "runs/run_004", (80, 24), "/loss\r"),
        ("watch-runs", "runs", (120, 40), "4"),
        ("watch-help", "runs/run_003", (80, 24), "?"),
        ("watch-small", "runs/run_003", (39, 24), ""),
    ] {
        let found = lines(&screen(&mut of_runs(path), size, keys));
        let golden = package().join("tests/golden").join(name).with_extension("screen");
        if env::var_os("QSTORE_CLI_GOLDEN").is_some_and(|what| what == "make") {
            fs::write(&golden, &found).unwrap();
        }
        let known = fs::read_to_string(&golden).unwrap_or_default();
        assert!(known == found, "{name} is\n{found}\nand should be\n{known}");
    }
}

#[test]
fn a_name_is_shown_and_not_obeyed() {
    let runs = tempfile::tempdir().unwrap();
    let name = "los\x1b[2Js\x1b]0;owned\x07\u{202e}\u{9b}31m";
    let settings = RunSettings::default().name(name).goal(name, Direction::Min);
    let mut run = Run::create(runs.path(), settings).unwrap();
    run.log_step(MetricsRow::step(0, 1, 0.25).with(name, 0.5)).unwrap();
    run.finish().unwrap();
    for keys in ["", "\r", "\t", "4"] {
        let mut eyes = Eyes::new(RunPlace::default(), Vec::new(), Some(runs.path().into()), None);
        let text = lines(&screen(&mut eyes, (120, 40), keys));
        let is_obeyed = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
        assert!(!text.contains(is_obeyed), "{text:?}");
        assert!(text.contains("los\\u{1b}[2J"), "{text}");
    }
}

#[test]
fn it_needs_a_terminal_and_a_run() {
    let called = call(&["watch", "runs"]);
    assert_eq!(called.exit, Exit::Usage);
    assert_eq!(
        called.err,
        "qstore watch: this is not a terminal; use `qstore tail -f`, `qstore plot` or `qstore serve`\n"
    );
    assert_eq!(call(&["watch", "no/such"]).exit, Exit::Missing);
    assert_eq!(call(&["watch", "runs", "--json"]).exit, Exit::Usage);
    let checkpoint = "runs/run_003/checkpoints/epoch_0003.zarr.zip";
    assert_eq!(call(&["watch", checkpoint]).exit, Exit::Usage);
}

/// Enters the other screen, and comes back from it.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn start(command: &mut Command, pty: &Pty) -> Child {
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR", "QSTORE_DIR"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color");
    command.stdin(pty.stdio()).stdout(pty.stdio()).stderr(pty.stdio()).spawn().unwrap()
}

fn watch(dir: &Path, pty: &Pty, more: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qstore"));
    start(command.current_dir(dir).args(["watch", "runs/run_003"]).args(more), pty)
}

#[test]
fn in_a_terminal_keys_arrive_and_it_is_afterwards_as_it_was() {
    let copy = scratch();
    let mut pty = Pty::open(80, 24);
    let before = pty.settings();
    let mut child = watch(copy.path(), &pty, &[]);
    pty.until(ENTER);
    let drawn = pty.until("q quit");
    assert!(drawn.contains("train_loss") && drawn.contains("38;5;32m"), "{drawn:?}");
    assert_ne!(pty.settings(), before);
    pty.press("?");
    pty.until("any key closes this");
    pty.press(" \t");
    pty.until("newest save");
    // More room, more on the screen: the list beside the charts.
    pty.resize(120, 40);
    pty.press("\x1b");
    pty.until("Lost");
    pty.press("q");
    let rest = pty.until(LEAVE);
    assert!(rest.contains("\x1b[?25h"), "the cursor is seen: {rest:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(pty.settings(), before);
}

#[test]
fn a_signal_and_ctrl_c_give_the_terminal_back() {
    let copy = scratch();
    let mut pty = Pty::open(80, 24);
    let before = pty.settings();
    for (is_signal, code) in [(true, 130), (false, 0)] {
        let mut child = watch(copy.path(), &pty, &["--color", "never"]);
        pty.until(ENTER);
        let drawn = pty.until("q quit");
        assert!(!drawn.contains("38;5;"), "{drawn:?}");
        if is_signal {
            let id = child.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        } else {
            pty.press("\x03");
        }
        pty.until(LEAVE);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(pty.settings(), before);
    }
}

/// Set where the test is its own child.
const PANICS: &str = "QSTORE_TEST_PANICS_IN_A_TERMINAL";

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    if env::var_os(PANICS).is_some() {
        SystemTerminal.take().unwrap();
        print!("{ENTER}");
        panic!("on purpose");
    }
    let mut pty = Pty::open(80, 24);
    let before = pty.settings();
    let name = "watching::a_panic_gives_the_terminal_back_before_its_message";
    let mut command = Command::new(env::current_exe().unwrap());
    let command = command.args(["--exact", name, "--nocapture", "--test-threads", "1"]);
    let mut child = start(command.env(PANICS, "1"), &pty);
    let printed = pty.until("on purpose");
    let place = |text: &str| printed.find(text).unwrap_or(usize::MAX);
    assert!(place(LEAVE) < place("on purpose"), "{printed:?}");
    assert!(!child.wait().unwrap().success());
    assert_eq!(pty.settings(), before);
}

/// A run with what a run may have: a spike, a NaN, checkpoints, measurements of the system.
fn rich(runs: &Path) -> Run {
    let settings = RunSettings::default()
        .name("vqe_h2o")
        .param("steps", 20_000)
        .goal("val_loss", Direction::Min)
        .system_metrics(Duration::from_secs(3_600))
        .git_timeout(Duration::ZERO);
    let run = Run::create(runs, settings).unwrap();
    let mut seed = 1_u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as f64 / f64::from(u32::MAX) - 0.25
    };
    for step in 0..12_000_i64 {
        let x = step as f64;
        let mut loss = 2.0 * (-x / 2_000.0).exp() + 0.2 + 0.1 * noise();
        if step == 7_003 {
            loss = 4.0;
        }
        let loss = if step == 9_500 { f64::NAN } else { loss };
        let row = MetricsRow::step(step / 1_000, step, loss)
            .with("val_loss", 2.1 * (-x / 2_300.0).exp() + 0.25 + 0.02 * noise())
            .with("energy", -74.0 - 1.02 * (1.0 - (-x / 1_500.0).exp()) + 0.01 * noise())
            .with("grad_norm", 10_f64.powf(1.0 - x / 6_000.0 + noise()))
            .with("lr", 1e-3 * (0.5 + 0.5 * (x / 12_000.0 * std::f64::consts::PI).cos()))
            .with("qubit_fidelity", 0.97 + 0.02 * (x / 900.0).sin() + 0.004 * noise());
        run.log_step(row).unwrap();
        if step % 500 == 499 {
            run.logger().flush(Duration::from_secs(60)).unwrap();
        }
        if step % 3_000 == 2_999 {
            let snapshot = qstore_checkpoint::Snapshot::new((step / 1_000) as u64)
                .meta("val_loss", 2.1 * (-x / 2_300.0).exp());
            run.save(step, snapshot).unwrap().wait(Duration::from_secs(60)).unwrap();
        }
    }
    run.logger().flush(Duration::from_secs(60)).unwrap();
    run
}

#[test]
fn pictures_for_the_documentation() {
    let runs = tempfile::tempdir().unwrap();
    let mut run = rich(runs.path());
    let eyes = || Eyes::new(RunPlace::default(), vec![run.path().into()], None, None);
    for (name, size, keys) in
        [("watch", (120, 36), "y"), ("watch-chart", (100, 26), "l\rysssssssss")]
    {
        let buffer = screen(&mut eyes(), size, keys);
        let picture = svg(&buffer);
        assert!(picture.starts_with("<svg") && picture.len() < 150_000, "{}", picture.len());
        assert!(picture.contains("vqe_h2o") && picture.contains("NaN"), "{}", lines(&buffer));
        if let Some(dir) = env::var_os("QSTORE_WATCH_PICTURES") {
            fs::write(Path::new(&dir).join(name).with_extension("svg"), picture).unwrap();
        }
    }
    run.finish().unwrap();
}
