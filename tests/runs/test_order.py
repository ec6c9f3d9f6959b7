"""Which job of a sweep runs next, worked out by hand."""

from tsdistill.runs.order import Job, Order


def jobs(*words: str) -> list[Job]:
    return [Job(number, tuple(text.split())) for number, text in enumerate(words)]


A, B = ("dataset.name=A",), ("dataset.name=B",)


def test_a_process_stays_with_its_data_and_another_begins_elsewhere() -> None:
    order = Order(jobs("method=kd dataset.name=A", "method=kd dataset.name=B", "dataset.name=A seed=1"))
    first = order.take(None, set())
    assert first is not None and (first.number, first.group) == (0, A)
    second = order.take(None, {A})
    assert second is not None and (second.number, second.group) == (1, B)
    third = order.take(A, {B})
    assert third is not None and third.number == 2
    assert order.take(A, {B}) is None and not order


def test_what_the_teacher_depends_on_makes_a_group() -> None:
    words = ("+teacher.seeds=[1]", "split.seed=1", "teacher=fcn", "seed=1", "student=gru_8", "method=kd")
    assert Job(0, words).group == words[:3]


def test_where_a_teacher_is_being_trained_others_go_ahead() -> None:
    order = Order(jobs("dataset.name=A seed=1", "dataset.name=A seed=2", "dataset.name=B"))
    assert order.take(None, set()) == Job(0, ("dataset.name=A", "seed=1"))
    put_off = order.take(A, set())
    assert put_off is not None and put_off.number == 1
    order.put_off(put_off, whole=True)
    other = order.take(A, {A})
    assert other is not None and other.number == 2
    waiting = order.take(B, {A})
    assert waiting is not None and waiting.number == 1 and waiting.patient


def test_a_group_is_taken_again_once_one_of_its_jobs_has_ended() -> None:
    order = Order(jobs("dataset.name=A seed=1", "dataset.name=A seed=2"))
    first, second = order.take(None, set()), order.take(None, set())
    assert first is not None and second is not None
    order.put_off(second, whole=True)
    order.release(first.group)
    again = order.take(None, set())
    assert again is not None and again.number == 1 and not again.patient


def test_a_run_that_another_process_does_comes_last_and_is_waited_for() -> None:
    order = Order(jobs("seed=1", "seed=2"))
    first = order.take(None, set())
    assert first is not None
    order.put_off(first, whole=False)
    assert [(job.number, job.patient) for job in order.jobs()] == [(1, False), (0, True)]


def test_a_job_whose_process_died_comes_first() -> None:
    order = Order(jobs("seed=1", "seed=2"))
    first = order.take(None, set())
    assert first is not None
    order.put_back(first)
    assert [job.number for job in order.jobs()] == [0, 1]
