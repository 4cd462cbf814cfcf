//! Reconciliation: the next step of one member towards its target assignment (Kafka's `CurrentAssignmentBuilder`).
//!
//! ```text
//!              has to give up partitions                    they are given up
//!   Stable ------------------------------> UnrevokedPartitions ------+
//!     |  ^                                                           |  to the target's epoch
//!     |  +----------- all partitions are free <----------------------+
//!     |                                                              |
//!     +--> UnreleasedPartitions <------ some are still held by others+
//! ```
//!
//! **Invariant:** a partition is added to `assigned` only when nobody holds it, so no two members ever own it at a time.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::member::{Assignment, ConsumerMember, MemberState, Owned};

/// What a member is led to, and what is known while doing so.
pub(super) struct Reconciliation<'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'a Assignment,
    /// Topics that the member subscribes to and that exist.
    pub(super) subscribed: &'a BTreeSet<Uuid>,
    pub(super) subscription_changed: bool,
    /// What the member said it owns; `None` when it did not say.
    pub(super) owned: Option<&'a Assignment>,
    /// Whether another member holds the partition.
    pub(super) is_held_by_other: &'a dyn Fn(Uuid, i32) -> bool,
}

impl Reconciliation<'_> {
    /// The member after its next step; equal to the member when there is none to take.
    pub(super) fn step(&self, member: &ConsumerMember) -> ConsumerMember {
        match member.state {
            MemberState::Stable if member.epoch != self.target_epoch => self.next_assignment(member),
            MemberState::Stable if self.subscription_changed => self.drop_unsubscribed(member),
            MemberState::Stable => member.clone(),
            MemberState::UnrevokedPartitions if !self.owns_any(&member.revoking) => {
                self.next_assignment(member)
            }
            MemberState::UnrevokedPartitions if self.subscription_changed => self.drop_unsubscribed(member),
            MemberState::UnrevokedPartitions => member.clone(),
            MemberState::UnreleasedPartitions | MemberState::Unknown => self.next_assignment(member),
        }
    }

    /// Whether the member may still own one of these: it does, or did not say.
    fn owns_any(&self, partitions: &Owned) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|(topic, owned)| {
            partitions.get(topic).is_some_and(|these| owned.iter().any(|it| these.contains_key(it)))
        })
    }

    /// Takes back what the member no longer subscribes to, and leaves the rest for a newer target.
    fn drop_unsubscribed(&self, member: &ConsumerMember) -> ConsumerMember {
        let mut next = member.clone();
        let dropped = next.assigned.extract_if(.., |topic, _| !self.subscribed.contains(topic));
        let dropped: Vec<_> = dropped.collect();
        if dropped.is_empty() {
            return next;
        }
        let mut revoking = next.revoking.clone();
        for (topic, partitions) in dropped {
            revoking.entry(topic).or_default().extend(partitions);
        }
        let epoch = next.epoch;
        next.advance_to(epoch);
        if self.owns_any(&revoking) {
            next.state = MemberState::UnrevokedPartitions;
            next.revoking = revoking;
        }
        next
    }

    fn next_assignment(&self, member: &ConsumerMember) -> ConsumerMember {
        let nothing = BTreeSet::new();
        let (mut assigned, mut revoking, mut pending) = (Owned::new(), Owned::new(), Assignment::new());
        let mut waits = false;
        let topics: BTreeSet<Uuid> = self.target.keys().chain(member.assigned.keys()).copied().collect();
        for topic in topics {
            let wanted = self.target.get(&topic).filter(|_| self.subscribed.contains(&topic));
            let wanted = wanted.unwrap_or(&nothing);
            for (partition, epoch) in member.assigned.get(&topic).into_iter().flatten() {
                let list = if wanted.contains(partition) { &mut assigned } else { &mut revoking };
                list.entry(topic).or_default().insert(*partition, *epoch);
            }
            let has = |partition: &&i32| {
                assigned
                    .get(&topic)
                    .is_some_and(|it: &std::collections::BTreeMap<_, _>| it.contains_key(*partition))
            };
            let missing: Vec<i32> = wanted.iter().filter(|it| !has(it)).copied().collect();
            for partition in missing {
                if (self.is_held_by_other)(topic, partition) {
                    waits = true;
                } else {
                    pending.entry(topic).or_default().insert(partition);
                }
            }
        }
        let mut next = member.clone();
        if !revoking.is_empty() && self.owns_any(&revoking) {
            let epoch = next.epoch;
            next.advance_to(epoch);
            (next.state, next.assigned, next.revoking) =
                (MemberState::UnrevokedPartitions, assigned, revoking);
            return next;
        }
        for (topic, partitions) in pending {
            let given = partitions.into_iter().map(|partition| (partition, self.target_epoch));
            assigned.entry(topic).or_default().extend(given);
        }
        next.advance_to(self.target_epoch);
        next.state = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
        (next.assigned, next.revoking) = (assigned, Owned::new());
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::group::consumer::member::owned_at;

    const TOPIC: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    fn of(topics: &[(Uuid, &[i32])]) -> Assignment {
        topics.iter().map(|(topic, partitions)| (*topic, partitions.iter().copied().collect())).collect()
    }

    /// Both topics assigned at epoch 4, moved from epoch 3; it is reconciled, or has to give up a partition of `OTHER`.
    fn member(state: MemberState) -> ConsumerMember {
        let revoking = if state == MemberState::UnrevokedPartitions { of(&[(OTHER, &[5])]) } else { of(&[]) };
        ConsumerMember {
            epoch: 4,
            previous_epoch: 3,
            state,
            assigned: owned_at(&of(&[(TOPIC, &[0, 1]), (OTHER, &[0])]), 4),
            revoking: owned_at(&revoking, 2),
            ..ConsumerMember::new("m".into())
        }
    }

    /// The next step of a member whose subscription changed to these topics while its target stayed.
    fn step(member: &ConsumerMember, subscribed: &[Uuid], owned: Option<&Assignment>) -> ConsumerMember {
        let reconciliation = Reconciliation {
            target_epoch: 4,
            target: &of(&[(TOPIC, &[0, 1]), (OTHER, &[0])]),
            subscribed: &subscribed.iter().copied().collect(),
            subscription_changed: true,
            owned,
            is_held_by_other: &|_, _| false,
        };
        reconciliation.step(member)
    }

    #[test]
    fn topic_that_is_not_subscribed_to_any_more_is_taken_back_at_the_same_epoch() {
        let before = member(MemberState::Stable);
        let expected = ConsumerMember {
            epoch: 4,
            previous_epoch: 4,
            state: MemberState::UnrevokedPartitions,
            assigned: owned_at(&of(&[(OTHER, &[0])]), 4),
            revoking: owned_at(&of(&[(TOPIC, &[0, 1])]), 4),
            ..before.clone()
        };
        assert_eq!(step(&before, &[OTHER], None), expected, "it may own all of it");
        let owns_one = of(&[(TOPIC, &[1])]);
        assert_eq!(step(&before, &[OTHER], Some(&owns_one)), expected, "it says that it owns a part");
    }

    #[test]
    fn partitions_that_were_never_taken_up_need_not_be_given_up() {
        let before = member(MemberState::Stable);
        let after = step(&before, &[OTHER], Some(&of(&[(OTHER, &[0])])));
        let assigned = owned_at(&of(&[(OTHER, &[0])]), 4);
        assert_eq!(after, ConsumerMember { previous_epoch: 4, assigned, ..before });
    }

    #[test]
    fn member_that_subscribes_to_more_keeps_everything() {
        for state in [MemberState::Stable, MemberState::UnrevokedPartitions] {
            let before = member(state);
            assert_eq!(step(&before, &[TOPIC, OTHER, Uuid::from_u128(3)], None), before);
        }
    }

    #[test]
    fn member_that_is_giving_up_partitions_has_to_give_up_what_it_unsubscribes_from_too() {
        let before = member(MemberState::UnrevokedPartitions);
        let after = step(&before, &[OTHER], None);
        let mut revoking = owned_at(&of(&[(TOPIC, &[0, 1])]), 4);
        revoking.extend(owned_at(&of(&[(OTHER, &[5])]), 2));
        assert_eq!((after.state, &after.revoking), (MemberState::UnrevokedPartitions, &revoking));
        assert_eq!(after.assigned, owned_at(&of(&[(OTHER, &[0])]), 4));
    }
}
