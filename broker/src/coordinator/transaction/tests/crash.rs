//! The process dies at every possible moment: no transaction is torn, none hangs, none changes its mind.

use super::*;

const V2: TransactionVersion = TransactionVersion::V2;
const V0: TransactionVersion = TransactionVersion::V0;

/// Runs a transaction over three partitions, dies after `steps`, and lets the next process finish. Returns whether the
/// client was told that it ended, and what became of it.
fn dies_after(steps: usize, committed: bool, version: TransactionVersion) -> (bool, World) {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0, 1]), ("u", &[0])], version));
    let waiter = world.ask(end("tx", me, committed, version));
    for _ in 0..steps {
        world.step();
    }
    let told = matches!(world.answer(waiter), Some(Response::EndTransaction(Ok(_))));
    world.crash();
    world.settle();
    (told, world)
}

#[test]
fn every_partition_learns_the_same_outcome_wherever_the_process_dies() {
    for version in [V0, V2] {
        for committed in [true, false] {
            for steps in 0..4 {
                let (told, mut world) = dies_after(steps, committed, version);
                let place = format!("{version:?}, committed {committed}, dead after {steps} steps");
                let marks: BTreeSet<Marker> = world.marked.values().flatten().copied().collect();
                let decided = if committed {
                    TransactionState::CompleteCommit
                } else {
                    TransactionState::CompleteAbort
                };
                match world.state("tx") {
                    TransactionState::Ongoing => {
                        assert!(!told && marks.is_empty() && steps == 0, "{place}");
                    }
                    state => {
                        assert_eq!(state, decided, "{place}");
                        assert_eq!((marks.len(), world.marked.len()), (1, 3), "{place}");
                    }
                }
            }
        }
    }
}

#[test]
fn transaction_that_died_undecided_is_aborted_at_its_timeout() {
    let (_, mut world) = dies_after(0, true, V2);
    world.pass(Duration::from_secs(70));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
    assert!(world.marked.values().all(|marks| marks.iter().all(|(_, _, committed)| !committed)));
}

#[test]
fn markers_half_written_are_written_to_all_by_the_next_process() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0, 1, 2])], V2));
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    world.markers_succeed_but(partitions(&[("t", &[1])]));
    world.crash();
    let (_, markers) = world.markers.front().unwrap();
    assert_eq!(markers.partitions, partitions(&[("t", &[0, 1, 2])]));
    world.settle();
    assert_eq!(world.marked[&("t".to_owned(), 0)], [(1000, 1, true), (1000, 1, true)]);
    assert_eq!(world.marked[&("t".to_owned(), 1)], [(1000, 1, true)]);
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
}

/// A small generator, so that a failure can be repeated from its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[test]
fn producers_that_come_and_go_among_crashes_never_tear_a_transaction() {
    let mut ended = 0;
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut world = World::new();
        let ids = ["a", "b", "c"];
        let mut producers: HashMap<&str, ProducerIdAndEpoch> = HashMap::new();
        let mut outcomes: HashMap<(i64, i16), bool> = HashMap::new();
        let mut asked: HashMap<WaiterId, &str> = HashMap::new();
        for _ in 0..60 {
            let id = ids[usize::try_from(dice.roll(3)).unwrap()];
            let me = producers.get(id).copied().unwrap_or(producer(-1, -1));
            let waiter = match dice.roll(9) {
                0 => world.ask(init(id, None)),
                1 => world.ask(init(id, Some(me))),
                2..4 => world.ask(add(id, me, &[("t", &[0, 1])], V2)),
                4 => world.ask(patient(id, me, &[("u", &[0])])),
                5..8 => world.ask(end(id, me, dice.roll(2) == 0, V2)),
                _ => {
                    world.crash();
                    continue;
                }
            };
            asked.insert(waiter, id);
            for _ in 0..dice.roll(5) {
                world.step();
            }
            world.pass(Duration::from_secs(dice.roll(20)));
            for (waiter, response) in std::mem::take(&mut world.answers) {
                if let Response::InitProducerId(Ok(got)) | Response::EndTransaction(Ok(got)) = response {
                    producers.insert(asked[&waiter], got);
                }
            }
            for (producer_id, epoch, committed) in world.marked.values().flatten() {
                let known = *outcomes.entry((*producer_id, *epoch)).or_insert(*committed);
                assert_eq!(known, *committed, "seed {seed}: two outcomes of one transaction");
            }
        }
        ended += outcomes.len();
        // Whatever was open ends by itself.
        world.settle();
        world.pass(Duration::from_mins(2));
        world.settle();
        for id in ids {
            let open = world.describe(id).is_ok_and(|found| !found.state.is_idle());
            assert!(!open, "seed {seed}: {id} hangs");
        }
    }
    assert!(ended > 1000, "only {ended} transactions ended");
}
