"""The ledger of jobs: nothing is lost, and nothing is paid for twice unnoticed."""

import os
import signal
import subprocess
import sys
import textwrap
import types

import pytest

import qstore
from qstore import Batch, Ledger
from qstore.ledger import Refused, Spending, job_state, read_jobs


class Client:
    """A provider that keeps what it was sent, and can lose its answers."""

    def __init__(self, *, loses_answers=False, can_search=True):
        self.jobs = {}
        self.loses_answers = loses_answers
        self.can_search = can_search

    def submit(self, token, batch, circuits):
        if circuits == "malformed":
            raise Refused("line 1: not a circuit")
        id = f"job-{len(self.jobs)}"
        self.jobs[id] = {"token": token, "state": "queued"}
        if self.loses_answers:
            raise ConnectionError("reset by peer")
        return id

    def find(self, token):
        if not self.can_search:
            raise NotImplementedError
        found = [id for id, job in self.jobs.items() if job["token"] == token]
        return {"id": found[0], "state": self.jobs[found[0]]["state"]} if found else None

    def status(self, id):
        if id not in self.jobs:
            raise LookupError(id)
        return {"state": self.jobs[id]["state"]}

    def cancel(self, id):
        self.jobs[id]["state"] = "cancelled"
        return {"state": "cancelled"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run" / "jobs.parquet"


def batch(*circuits, **more):
    return Batch("device", 1024, circuits=circuits or ("h q;",), **more)


def test_a_job_from_its_intent_to_its_price(path):
    with Ledger(path, budget_usd=10.0, attempt=2) as ledger:
        intent = ledger.intend("provider", batch(), epoch=1, step=17, estimate_usd=0.67)
        assert len(intent.token) == 36 and ledger.spending() == Spending(10.0, 0.0, 0.67)
        job = intent.submitted("job-7")
        assert (job.state, job.id, job.attempt, job.epoch, job.step) == ("submitted", "job-7", 2, 1, 17)
        job = ledger.observe(job, queue_position=4)
        assert (job.state, job.queue_position) == ("queued", 4)
        job = ledger.observe(job, "done", cost_usd=0.65, exec_ms=840.0, result=("results/7.json", 5))
        assert job == ledger.finished(batch()) == ledger.find("job-7") == ledger.find(job.token)
        assert (job.shots, job.circuits, job.cost_usd, job.result_crc32c) == (1024, 1, 0.65, 5)
        assert ledger.spending().total_usd == 0.65 and ledger.unfinished() == []
    assert read_jobs(path) == [job]
    pandas = pytest.importorskip("pandas")
    assert pandas.read_parquet(path)["event"].tolist() == ["intended", "submitted", "queued", "done"]
    with pytest.raises(qstore.StoppedError):
        ledger.intend("provider", batch("x q;"), estimate_usd=0.1)


def test_a_batch_is_the_same_by_all_that_it_is(path):
    assert batch() == batch() and hash(batch()) == hash(batch())
    others = [
        batch("h q;", "x q;"),
        batch(parameters=[0.5]),
        batch(salt="step 7"),
        batch(salt=["step", "7"]),
        Batch("device", 1025, circuits=["h q;"]),
        Batch("other", 1024, circuits=["h q;"]),
    ]
    assert len({batch(), *others}) == 7
    assert batch(b"h q;") == batch()
    assert batch(parameters=(0.5, 1)) == batch(parameters=[0.5, 1.0])
    with pytest.raises(TypeError):
        batch(5)


def test_what_was_paid_for_or_is_under_way_is_refused_unless_it_is_repeated(path):
    with Ledger(path) as ledger:
        job = ledger.intend("provider", batch()).submitted("job-1")
        with pytest.raises(qstore.UnderWayError) as raised:
            ledger.intend("provider", batch())
        assert raised.value.job == job.token
        ledger.observe(job, "done", cost_usd=1.0)
        with pytest.raises(qstore.AlreadyPaidError, match=job.token) as raised:
            ledger.intend("provider", batch())
        assert raised.value.job == job.token and isinstance(raised.value, qstore.LedgerError)
        assert ledger.intend("provider", batch(), repeated=True).submitted("job-2").state == "submitted"


def test_a_budget_is_reserved_before_and_settled_after_with_alarms(path):
    raised = []
    with Ledger(path, budget_usd=10.0, alarm_at=[0.5], on_alarm=lambda *alarm: raised.append(alarm)) as ledger:
        with pytest.raises(ValueError, match="estimate"):
            ledger.intend("provider", batch())
        job = ledger.intend("provider", batch(), estimate_usd=6.0).submitted("1")
        assert raised == [(0.5, Spending(10.0, 0.0, 6.0))]
        with pytest.raises(qstore.OverBudgetError, match="over the limit of 10.00 USD"):
            ledger.intend("provider", batch("x"), estimate_usd=4.5)
        assert len(ledger.jobs()) == 1
        ledger.observe(job, "done", cost_usd=12.0)
        assert raised[1] == (1.0, Spending(10.0, 12.0, 0.0))
    with pytest.raises(ValueError, match="limit"):
        Ledger(path, budget_usd=-1.0)


def test_an_alarm_without_a_function_is_a_warning(path):
    with Ledger(path, budget_usd=1.0, alarm_at=[0.5]) as ledger:
        with pytest.warns(RuntimeWarning, match="50% of the budget of 1.00 USD"):
            ledger.intend("provider", batch(), estimate_usd=0.6).submitted("1")


def test_a_lost_answer_leaves_the_job_in_doubt_until_it_is_found(path):
    client = Client(loses_answers=True)
    with Ledger(path) as ledger:
        with pytest.raises(ConnectionError):
            ledger.send(client, "provider", batch(), "h q;")
        (job,) = ledger.unfinished()
        assert job.in_doubt and job.id is None
        with pytest.raises(qstore.UnderWayError):
            ledger.send(client, "provider", batch(), "h q;")
        reconciled = ledger.reconcile("provider", client)
        assert [seen.id for seen in reconciled.seen] == ["job-0"] and not reconciled.in_doubt
        assert len(client.jobs) == 1
        assert ledger.cancel(client, reconciled.seen[0]).state == "cancelled"


def test_a_job_that_never_arrived_is_given_up_and_one_that_cannot_be_searched_stays(path):
    with Ledger(path) as ledger:
        with ledger.intend("provider", batch()) as intent:
            pass
        assert ledger.reconcile("another", Client()).seen == []
        stays = ledger.reconcile("provider", Client(can_search=False))
        assert [job.token for job in stays.in_doubt] == [intent.token]
        gone = ledger.reconcile("provider", Client())
        assert [job.state for job in gone.given_up] == ["cancelled"]
        with pytest.raises(qstore.LedgerError, match="not in doubt"):
            ledger.retry(intent.token)


def test_a_request_is_sent_again_under_the_same_token(path):
    with Ledger(path) as ledger:
        with ledger.intend("provider", batch()) as first:
            pass
        again = ledger.retry(first.token)
        assert again.token == first.token
        assert again.submitted("job-1").id == "job-1"
        with pytest.raises(ValueError, match="recorded already"):
            again.submitted("job-2")


def test_a_request_that_is_refused_costs_nothing(path):
    with Ledger(path, budget_usd=1.0) as ledger:
        with pytest.raises(Refused):
            ledger.send(Client(), "provider", batch(), "malformed", estimate_usd=0.5)
        (job,) = ledger.jobs()
        assert job.state == "failed" and "not a circuit" in job.error and ledger.spending().total_usd == 0.0


def test_a_provider_that_does_not_answer_hides_no_other_job(path):
    client = Client()
    with Ledger(path) as ledger:
        lost = ledger.intend("provider", batch("lost")).submitted("unknown")
        ledger.send(client, "provider", batch("known"), "known")
        reconciled = ledger.reconcile("provider", client)
        assert [job.token for job, _ in reconciled.unanswered] == [lost.token]
        assert [job.id for job in reconciled.seen] == ["job-0"]
        with pytest.raises(qstore.LedgerError, match="no identifier"):
            with ledger.intend("provider", batch("x")) as intent:
                ledger.cancel(client, ledger.find(intent.token))


@pytest.mark.parametrize(
    ("look", "error"),
    [
        ({"state": "lost"}, ValueError),
        ({"cost_usd": -1.0}, ValueError),
        ({"id": "another"}, qstore.LedgerError),
        ({"state": "done", "queue_position": 3}, ValueError),
    ],
)
def test_what_is_not_possible_is_refused(path, look, error):
    with Ledger(path) as ledger:
        job = ledger.intend("provider", batch()).submitted("job-1")
        with pytest.raises(error):
            ledger.observe(job, **look)
        assert ledger.jobs() == [job]
        with pytest.raises(qstore.LedgerError, match="no job nothing"):
            ledger.observe("nothing", "done")
        with pytest.raises(ValueError, match="epoch and step"):
            ledger.intend("provider", batch("x"), epoch=1)


def test_a_process_that_is_killed_between_intent_and_answer_leaves_a_job_in_doubt(path, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, sys
            from qstore import Batch, Ledger
            ledger = Ledger(sys.argv[1])
            ledger.intend("provider", Batch("device", 1024, circuits=["sent"])).submitted("job-0")
            intent = ledger.intend("provider", Batch("device", 1024, circuits=["h q;"]))
            os.kill(os.getpid(), signal.SIGKILL)
            """
        )
    )
    assert subprocess.run([sys.executable, str(script), str(path)], timeout=60).returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        assert [(job.id, job.in_doubt) for job in ledger.unfinished()] == [("job-0", False), (None, True)]
        with pytest.raises(qstore.UnderWayError, match="in doubt"):
            ledger.intend("provider", batch())


def test_a_second_ledger_of_a_file_takes_over_and_a_forked_child_records_nothing(path, run_script):
    first = Ledger(path)
    first.intend("provider", batch()).submitted("job-1")
    with Ledger(path) as second:  # a notebook cell that is run twice
        assert second.jobs() == first.jobs() and first.finished(batch()) is None
        with pytest.raises(qstore.StoppedError):
            first.intend("provider", batch("x"))
        with pytest.raises(qstore.OpenError):  # not through the package, which would take over
            qstore._native.Ledger(path, None, [])
    second.close()
    done = run_script(
        """
        import os, sys
        import qstore
        ledger = qstore.Ledger(sys.argv[1])
        child = os.fork()
        if child == 0:
            try:
                ledger.intend("provider", qstore.Batch("d", 1))
            except qstore.ForkedError:
                sys.exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        ledger.intend("provider", qstore.Batch("d", 1)).submitted("job-2")
        """,
        path,
    )
    assert done.stderr == ""
    assert [job.id for job in read_jobs(path)] == ["job-1", "job-2"]


def test_a_file_of_metrics_is_not_a_ledger(metrics):
    with qstore.AsyncMetricsLogger(metrics) as logger:
        logger.log_step(0, 1, 0.5)
    with pytest.raises(qstore.LedgerError, match="not a ledger"):
        Ledger(metrics)


def test_the_words_of_providers():
    assert job_state("ibm_runtime", "QUEUED") == "queued"
    assert job_state("braket", "CANCELLING") == "running"
    assert job_state("ionq", "completed") == "done" and job_state("ionq", "paused") is None
    with pytest.raises(ValueError, match="ibm_runtime, braket or ionq"):
        job_state("rigetti", "DONE")


def test_the_ledger_of_a_run_knows_its_attempt(tmp_path):
    with qstore.Run.create(tmp_path) as run, run.ledger(budget_usd=5.0) as ledger:
        assert ledger.path == run.path / "jobs.parquet"
        assert ledger.intend("provider", batch(), estimate_usd=1.0).submitted("1").attempt == 1
        assert "1 jobs, 1.00 of 5.00 USD" in repr(ledger)
    assert os.path.exists(run.path / "jobs.parquet")


class RuntimeJob:
    """As of IBM Runtime."""

    def __init__(self, id, tags, status="QUEUED"):
        self.id, self.tags, self.now = id, tags, status

    def job_id(self):
        return self.id

    def status(self):
        return self.now

    def usage(self):
        return 2.5

    def cancel(self):
        self.now = "CANCELLED"


class Service:
    """As of IBM Runtime, and a primitive of its own."""

    def __init__(self):
        self.all = []
        self.options = types.SimpleNamespace(environment=types.SimpleNamespace(job_tags=["mine"]))

    def run(self, pubs):
        self.all.insert(0, RuntimeJob(f"c{len(self.all)}", self.options.environment.job_tags))
        if pubs == "lost":
            raise ConnectionError("reset by peer")
        return self.all[0]

    def job(self, id):
        return next(job for job in self.all if job.id == id)

    def jobs(self, job_tags, limit):
        return [job for job in self.all if set(job_tags) <= set(job.tags)][:limit]


def test_jobs_of_ibm_runtime_carry_their_token_as_a_tag(path):
    from qstore.qiskit import RuntimeProvider

    service = Service()
    provider = RuntimeProvider(service, usd_per_second=2.0)
    with Ledger(path) as ledger:
        job = ledger.send(provider, "ibm", batch(), (service, ["a circuit"]))
        assert service.all[0].tags == ["mine", job.token] and job.id == "c0"
        assert service.options.environment.job_tags == ["mine"]
        with pytest.raises(ConnectionError):
            ledger.send(provider, "ibm", batch("x"), (service, "lost"))
        assert service.options.environment.job_tags == ["mine"]
        service.all[-1].now = types.SimpleNamespace(name="DONE")  # as of the first version
        reconciled = ledger.reconcile("ibm", provider)
        assert [(job.id, job.state, job.cost_usd) for job in reconciled.seen] == [("c0", "done", 5.0), ("c1", "queued", None)]
        canceled = ledger.cancel(provider, reconciled.seen[1])
        assert (canceled.state, canceled.billed_seconds) == ("cancelled", 2.5)
        assert ledger.cancel(provider, reconciled.seen[0]).state == "done"
        assert provider.find("another token") is None
        service.all[0].now = "PAUSED"
        with pytest.raises(ValueError, match="PAUSED"):
            provider.status("c1")


def test_a_callback_of_qiskit_logs_into_a_run(tmp_path):
    import qstore.qiskit

    with qstore.Run.create(tmp_path) as run:
        qstore.qiskit.vqe(run)(3, [0.1], -1.5, {"shots": 100})
    assert qstore.open_run(run.path).read("step", "train_loss") == {"step": [3], "train_loss": [-1.5]}
