//! GPUs: how busy each is, its memory in use, its power and its temperature.
//!
//! Those of NVIDIA are read through NVML, the library of their driver, which is loaded where it is (feature `nvml`):
//! <https://docs.nvidia.com/deploy/nvml-api/>. Those of AMD are read from the files of their driver:
//! <https://docs.kernel.org/gpu/amdgpu/thermal.html>. A machine without any has no columns for them.

use qstore_schema::Row;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory in which Linux lists graphics cards.
const CARDS: &str = "/sys/class/drm";

/// The GPUs of the machine, those of NVIDIA first, in the order of their drivers.
#[derive(Debug)]
pub(super) struct Gpus {
    #[cfg(feature = "nvml")]
    nvidia: Option<nvidia::Nvidia>,
    amd: Vec<PathBuf>,
}

/// What is known of a GPU at a moment.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    /// The share of the time in which it had something to do, in percent.
    util: Option<f64>,
    mem_bytes: Option<u64>,
    watts: Option<f64>,
    celsius: Option<f64>,
}

impl Gpus {
    /// Those that are there. Loading the library of a driver can take a tenth of a second.
    pub(super) fn find() -> Self {
        Self {
            #[cfg(feature = "nvml")]
            nvidia: nvidia::Nvidia::find(nvidia::LIBRARIES),
            amd: amd_cards(Path::new(CARDS)),
        }
    }

    /// Adds the columns `gpu0_util`, `gpu0_mem_bytes`, `gpu0_watts`, `gpu0_celsius`, `gpu1_util` and so on, as far as the
    /// driver has them.
    pub(super) fn measure(&self, row: &mut Row) {
        let readings = self.amd.iter().map(|card| read_amd(card));
        #[cfg(feature = "nvml")]
        let readings = self.nvidia.iter().flat_map(nvidia::Nvidia::read).chain(readings);
        for (index, reading) in readings.enumerate() {
            let Reading { util, mem_bytes, watts, celsius } = reading;
            let bytes = mem_bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
            for (name, value) in [("util", util), ("watts", watts), ("celsius", celsius)] {
                if let Some(value) = value {
                    row.set(format!("gpu{index}_{name}"), value);
                }
            }
            if let Some(bytes) = bytes {
                row.set(format!("gpu{index}_mem_bytes"), bytes);
            }
        }
    }
}

/// The cards below this directory whose driver tells how busy they are, by number.
fn amd_cards(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut cards: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            // Connectors are called `card0-DP-1`.
            let number = entry.file_name().to_str()?.strip_prefix("card")?.parse().ok()?;
            let device = entry.path().join("device");
            device.join("gpu_busy_percent").is_file().then_some((number, device))
        })
        .collect();
    cards.sort();
    cards.into_iter().map(|(_, device)| device).collect()
}

fn read_amd(device: &Path) -> Reading {
    let number = |path: PathBuf| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let sensors = fs::read_dir(device.join("hwmon")).into_iter().flatten().flatten().next();
    let sensor = |name: &str| number(sensors.as_ref()?.path().join(name));
    // One driver averages, another one has what it is now; both in microwatts.
    let power = sensor("power1_average").or_else(|| sensor("power1_input"));
    Reading {
        util: number(device.join("gpu_busy_percent")).map(|percent| percent as f64),
        mem_bytes: number(device.join("mem_info_vram_used")),
        watts: power.map(|power| power as f64 / 1e6),
        celsius: sensor("temp1_input").map(|celsius| celsius as f64 / 1e3),
    }
}

#[cfg(feature = "nvml")]
mod nvidia {
    use super::Reading;
    use nvml_wrapper::Nvml;
    use nvml_wrapper::enum_wrappers::device::TemperatureSensor;

    /// The names of the library: that of a driver, and that which only a development package adds.
    pub(super) const LIBRARIES: &[&str] = &["libnvidia-ml.so.1", "libnvidia-ml.so"];

    #[derive(Debug)]
    pub(super) struct Nvidia {
        library: Nvml,
    }

    impl Nvidia {
        /// `None` where no library can be loaded, or where it finds no driver.
        pub(super) fn find(libraries: &[&str]) -> Option<Self> {
            let load = |name: &&str| Nvml::builder().lib_path(name.as_ref()).init().ok();
            libraries.iter().find_map(load).map(|library| Self { library })
        }

        pub(super) fn read(&self) -> impl Iterator<Item = Reading> {
            let count = self.library.device_count().unwrap_or(0);
            (0..count).map(|index| {
                // One that has fallen off the bus keeps its number.
                let Ok(device) = self.library.device_by_index(index) else {
                    return Reading::default();
                };
                let celsius = device.temperature(TemperatureSensor::Gpu);
                Reading {
                    util: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu)),
                    mem_bytes: device.memory_info().ok().map(|memory| memory.used),
                    watts: device.power_usage().ok().map(|power| f64::from(power) / 1e3),
                    celsius: celsius.ok().map(f64::from),
                }
            })
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use std::process::Command;

        /// A library with the functions that are called, of a machine with two GPUs of which one is lost.
        const LIBRARY: &str = r"
            typedef struct { unsigned gpu, memory; } Rates;
            typedef struct { unsigned version; unsigned long long total, reserved, free, used; } Memory;
            int nvmlInit_v2(void) { return 0; }
            int nvmlShutdown(void) { return 0; }
            int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
            int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
                *device = (void *) 1;
                return index == 0 ? 0 : 15;
            }
            int nvmlDeviceGetUtilizationRates(void *device, Rates *rates) { rates->gpu = 87; return 0; }
            int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
                if (memory->version != (sizeof(Memory) | 2 << 24)) return 2;
                memory->used = 5000000000ull;
                return 0;
            }
            int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) { *milliwatts = 251500; return 0; }
            int nvmlDeviceGetTemperature(void *device, int sensor, unsigned *celsius) { return 3; }
        ";

        #[test]
        fn the_library_of_the_driver_is_asked() {
            let dir = tempfile::tempdir().unwrap();
            let (source, library) = (dir.path().join("nvml.c"), dir.path().join("libnvml.so"));
            std::fs::write(&source, LIBRARY).unwrap();
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
            assert!(compiler.status().unwrap().success());
            let found = Nvidia::find(&["no such library", library.to_str().unwrap()]).unwrap();
            let busy = Reading {
                util: Some(87.0),
                mem_bytes: Some(5_000_000_000),
                watts: Some(251.5),
                celsius: None, // not supported
            };
            assert_eq!(found.read().collect::<Vec<_>>(), [busy, Reading::default()]);
            assert!(Nvidia::find(&["no such library"]).is_none());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::Value;

    #[test]
    fn the_files_of_a_driver_are_read_by_the_number_of_the_card() {
        let dir = tempfile::tempdir().unwrap();
        for (card, busy) in [("card10", "7"), ("card2", "93")] {
            let device = dir.path().join(card).join("device");
            fs::create_dir_all(device.join("hwmon/hwmon3")).unwrap();
            fs::write(device.join("gpu_busy_percent"), format!("{busy}\n")).unwrap();
        }
        let device = dir.path().join("card2/device");
        fs::write(device.join("mem_info_vram_used"), "17163091968\n").unwrap();
        fs::write(device.join("hwmon/hwmon3/power1_average"), "211000000\n").unwrap();
        fs::write(device.join("hwmon/hwmon3/temp1_input"), "64500\n").unwrap();
        fs::create_dir_all(dir.path().join("card2-DP-1/device")).unwrap();
        fs::create_dir_all(dir.path().join("card0/device")).unwrap(); // another driver's

        let gpus = Gpus {
            #[cfg(feature = "nvml")]
            nvidia: None,
            amd: amd_cards(dir.path()),
        };
        let mut row = Row::default();
        gpus.measure(&mut row);
        let found: Vec<_> = row.iter().map(|(name, value)| (&**name, value.clone())).collect();
        let float = |name, value| (name, Value::Float(value));
        assert_eq!(
            found,
            [
                float("gpu0_util", 93.0),
                float("gpu0_watts", 211.0),
                float("gpu0_celsius", 64.5),
                ("gpu0_mem_bytes", Value::Int(17_163_091_968)),
                float("gpu1_util", 7.0),
            ]
        );
    }

    #[test]
    fn a_machine_without_them_has_no_columns() {
        let gpus = Gpus {
            #[cfg(feature = "nvml")]
            nvidia: None,
            amd: amd_cards(Path::new("/no/such/directory")),
        };
        let mut row = Row::default();
        gpus.measure(&mut row);
        assert!(row.is_empty());
    }
}
