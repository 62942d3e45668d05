//! Killed, or without power, before every change of the disk and after every request: no identifier is lost, none
//! is invented, and nothing is paid twice.

use qstore_ledger::simulated::{SimulatedProvider, Simulation};
use qstore_ledger::training::{Client, Doubt, disk, judge, send_again, train};
use qstore_storage::testing::{CrashFs, cuts};
use qstore_storage::{FileSystem, MemoryFs};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

const JOBS: i64 = 5;

fn shared(memory: MemoryFs) -> Arc<dyn FileSystem> {
    Arc::new(memory)
}

fn provider(seed: u64) -> SimulatedProvider {
    let simulation =
        Simulation { seed, loses_answers: 0.2, unreachable: 0.1, ..Simulation::default() };
    SimulatedProvider::new(simulation)
}

// L1, for the disk. The scorecard has the form with 40 jobs.
#[test]
fn before_every_change_of_the_disk_no_job_is_lost_or_invented() {
    let cases = Arc::new(Mutex::new(0));
    for seed in 0..2 {
        let (memory, provider) = (disk(), provider(seed));
        let (at_provider, counted) = (provider.clone(), Arc::clone(&cases));
        let storage = CrashFs::new(&memory, move |moment| {
            let name = format!("seed {seed}, change {}", moment.number);
            for cut in cuts(seed, moment.number, 1) {
                judge(
                    &shared(moment.memory.power_cut_by(cut)),
                    &at_provider,
                    &format!("{name}, {cut}"),
                );
                *counted.lock().unwrap() += 1;
            }
            let left = moment.memory.process_kill();
            judge(&shared(left.process_kill()), &at_provider, &name);
            // What the next process relies on is durable, whatever the killed one had time for.
            let provider = at_provider.snapshot();
            send_again(&shared(left.clone()), &provider);
            judge(&shared(left.power_cut()), &provider, &format!("{name}, sent again, power cut"));
        });
        let client = Client::new(provider.clone(), usize::MAX);
        let ledger = train(&storage.shared(), &client, JOBS, Doubt::Retries).unwrap();
        assert_eq!(ledger.unfinished(), []);
        judge(&shared(memory.power_cut()), &provider, "the end");
    }
    let cases = *cases.lock().unwrap();
    assert!(cases > 500, "only {cases} cases");
}

// L1 for requests, and L3: what was paid for before the kill is not paid again.
#[test]
fn after_every_request_a_new_process_goes_on_and_pays_nothing_twice() {
    for seed in 0..4 {
        let bill = {
            let client = Client::new(provider(seed), usize::MAX);
            let storage: Arc<dyn FileSystem> = Arc::new(disk());
            drop(train(&storage, &client, JOBS, Doubt::Retries).unwrap());
            client.provider().bill_usd()
        };
        let survived = Cell::new(false);
        for requests in 1.. {
            let (memory, provider) = (disk(), provider(seed));
            let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
            let client = Client::new(provider.clone(), requests);
            let trained = client.run(|client| train(&storage, client, JOBS, Doubt::Retries));
            survived.set(trained.is_some_and(|trained| trained.is_ok()));
            for left in [memory.power_cut(), memory.process_kill()] {
                judge(
                    &shared(left.process_kill()),
                    &provider,
                    &format!("seed {seed}, request {requests}"),
                );
                let client = Client::new(provider.snapshot(), usize::MAX);
                let storage: Arc<dyn FileSystem> = Arc::new(left);
                let ledger = train(&storage, &client, JOBS, Doubt::Retries).unwrap();
                let (paid, jobs) =
                    (client.provider().bill_usd(), client.provider().accepted().len());
                assert!((paid - bill).abs() < 1e-9, "{paid} and not {bill}, request {requests}");
                assert_eq!(jobs, JOBS as usize, "seed {seed}, request {requests}");
                // L6: the ledger adds up to the provider's bill.
                assert!((ledger.spending().settled_usd - paid).abs() < 1e-9);
            }
            if survived.get() {
                break;
            }
        }
    }
}
