//! Random events against a naive model that has one entry for each offset.

use super::*;
use AcknowledgeKind::{Accept, Gap, Reject, Release, Renew};

const STEPS: usize = 400;
const MEMBERS: [&str; 3] = ["a", "b", "c"];

/// What the model knows of an offset.
#[derive(Debug, Clone, Default)]
struct Known {
    deliveries: i16,
    /// As often as a crash leaves it delivered.
    written: i16,
    holder: Option<(usize, Instant)>,
    done: bool,
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

struct Model {
    world: World,
    random: Random,
    log: Vec<(i64, i64)>,
    known: Vec<Known>,
}

fn index(offset: i64) -> usize {
    usize::try_from(offset).unwrap()
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut world = World::new();
        world.config.updates_per_snapshot = 7;
        world.limits.in_flight = 60;
        world.batch_size = 10;
        world.crash();
        Self { world, random: Random(seed | 1), log: Vec::new(), known: Vec::new() }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 | 1 => self.produce(),
            2..=5 => self.take(),
            6..=9 => self.say(),
            10 => self.leave_or_wait(),
            _ => self.crash(),
        }
        self.check();
    }

    fn produce(&mut self) {
        let first = i64::try_from(self.known.len()).unwrap();
        let length = 1 + self.random.below(12);
        self.known.resize_with(self.known.len() + length, Known::default);
        self.log.push((first, i64::try_from(self.known.len()).unwrap() - 1));
    }

    fn take(&mut self) {
        let member = self.random.below(MEMBERS.len());
        self.world.mode = [AcquireMode::BatchOptimized, AcquireMode::RecordLimit][self.random.below(2)];
        let most = 1 + i64::try_from(self.random.below(20)).unwrap();
        let Position::At(from) = self.world.position() else { return };
        let read: Vec<_> = self.log.iter().copied().filter(|(_, last)| *last >= from).take(4).collect();
        let taken = self.world.take_from(from, MEMBERS[member], most, &read, &[]);
        let until = self.world.now + LOCK;
        let mut count = 0;
        for (first, last, deliveries) in taken {
            for offset in first..=last {
                let known = &mut self.known[index(offset)];
                assert!(!known.done, "{offset} is delivered though it is done with");
                assert!(known.holder.is_none(), "{offset} is held by two members");
                known.deliveries += 1;
                assert_eq!(known.deliveries, deliveries, "{offset}");
                known.holder = Some((member, until));
                count += 1;
            }
        }
        assert!(self.world.mode == AcquireMode::BatchOptimized || count <= most);
    }

    fn say(&mut self) {
        let member = self.random.below(MEMBERS.len());
        if self.known.is_empty() {
            return;
        }
        let first = self.random.below(self.known.len());
        let last = (first + self.random.below(8)).min(self.known.len() - 1);
        let kind = [Accept, Accept, Release, Reject, Gap, Renew][self.random.below(6)];
        let (from, to) = (i64::try_from(first).unwrap(), i64::try_from(last).unwrap());
        let start = self.world.share_partition().start.unwrap();
        let said = self.world.say(MEMBERS[member], &[(from, to, kind)]);
        let matter = |offset: usize| i64::try_from(offset).unwrap() >= start;
        let holds = |known: &Known| known.holder.is_some_and(|(holder, _)| holder == member);
        let all = (first..=last).filter(|offset| matter(*offset)).all(|offset| holds(&self.known[offset]));
        assert_eq!(said.is_ok(), all, "{from}..={to} {kind:?} of {}: {said:?}", MEMBERS[member]);
        if !all {
            return;
        }
        for offset in (first..=last).filter(|offset| matter(*offset)) {
            let until = self.world.now + LOCK;
            let limit = self.world.limits.deliveries;
            let known = &mut self.known[offset];
            if kind == Renew {
                known.holder = Some((member, until));
            } else {
                known.settle(kind != Release, limit);
            }
        }
    }

    fn leave_or_wait(&mut self) {
        let limit = self.world.limits.deliveries;
        if self.random.below(2) == 0 {
            let member = self.random.below(MEMBERS.len());
            self.world.leave(MEMBERS[member]);
            let left = self.known.iter_mut();
            let left = left.filter(|known| known.holder.is_some_and(|(holder, _)| holder == member));
            left.for_each(|known| known.settle(false, limit));
            return;
        }
        let time = LOCK / u32::try_from(1 + self.random.below(4)).unwrap();
        self.world.pass(time);
        let now = self.world.now;
        let over = self.known.iter_mut().filter(|known| known.holder.is_some_and(|(_, until)| until <= now));
        over.for_each(|known| known.settle(false, limit));
    }

    fn crash(&mut self) {
        self.world.crash();
        for known in self.known.iter_mut().filter(|known| known.holder.is_some()) {
            known.holder = None;
            known.deliveries = known.written;
        }
    }

    fn check(&mut self) {
        let start = self.world.share_partition().start.unwrap();
        let first_open = self.known.iter().position(|known| !known.done).unwrap_or(self.known.len());
        assert_eq!(index(start), first_open, "the start is where the first open offset is");
        let free = |known: &Known| !known.done && known.holder.is_none();
        let first_free = self.known.iter().position(free).unwrap_or(self.known.len());
        match self.world.position() {
            Position::At(next) => assert_eq!(index(next), first_free),
            Position::Full => assert!(self.known[first_open..first_free].len() >= 60),
            Position::Unset => panic!("it begins at 0"),
        }
    }

    /// Members accept whatever they get until nothing is left.
    fn finish(&mut self) {
        self.world.pass(LOCK * 2);
        let limit = self.world.limits.deliveries;
        for known in self.known.iter_mut().filter(|known| known.holder.is_some()) {
            known.settle(false, limit);
        }
        self.world.mode = AcquireMode::BatchOptimized;
        while let Position::At(from) = self.world.position() {
            let read: Vec<_> = self.log.iter().copied().filter(|(_, last)| *last >= from).collect();
            let taken = self.world.take_from(from, "z", 500, &read, &[]);
            if taken.is_empty() {
                break;
            }
            for (first, last, _) in taken {
                for offset in first..=last {
                    assert!(!std::mem::replace(&mut self.known[index(offset)].done, true), "{offset} again");
                }
                self.world.say("z", &[(first, last, Accept)]).unwrap();
            }
        }
        assert!(self.known.iter().all(|known| known.done), "an offset was passed over");
    }
}

impl Known {
    fn settle(&mut self, done: bool, limit: i16) {
        self.holder = None;
        self.written = self.deliveries;
        self.done = done || self.deliveries >= limit;
    }
}

#[test]
fn no_record_is_held_twice_comes_again_when_it_is_done_or_is_passed_over() {
    for seed in 1..=60_u64 {
        let mut model = Model::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..STEPS {
            model.step();
        }
        model.finish();
    }
}
