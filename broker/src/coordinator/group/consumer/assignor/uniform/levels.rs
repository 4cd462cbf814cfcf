//! The subscribers of one topic by how much they have, while partitions go to the least loaded of them and come from the most
//! loaded (Kafka's `MemberAssignmentBalancer`).
//!
//! ```text
//!           ^                  most loaded range, from the right
//!           |                 <-- ##
//! partitions|  least         #####|##  <- excluded: nothing of this topic to give
//!           |  loaded  ##########|##
//!           |  range   ##########|##
//!           |  ->  ##############|##
//!           +-----------------------> members, the least loaded first
//! ```
//!
//! Each range takes its turns member by member, and its level changes by one when all of it had a turn; then members on the new
//! level join it. **Invariant:** members of a range that had no turn yet are on its level.

/// See the module.
pub(super) struct Levels {
    members: Vec<usize>,
    /// End of the least loaded range, which begins at 0.
    least_end: usize,
    least_level: i64,
    next_least: usize,
    most_start: usize,
    most_end: usize,
    most_level: i64,
    /// One behind the place whose turn it is.
    next_most: usize,
}

impl Levels {
    /// Of these members, who are at least one; the loads are those of all members.
    pub(super) fn of(members: &[usize], loads: &[i64]) -> Self {
        let mut members = members.to_vec();
        members.sort_by_key(|member| (loads[*member], *member));
        let level = |member: Option<&usize>| member.map_or(0, |member| loads[*member]);
        let end = members.len();
        Self {
            least_end: 0,
            least_level: level(members.first()) - 1,
            next_least: 0,
            most_start: end,
            most_end: end,
            most_level: level(members.last()) + 1,
            next_most: end,
            members,
        }
    }

    /// Who gets the next partition; the caller gives it.
    pub(super) fn least_loaded(&mut self, loads: &[i64]) -> usize {
        if self.next_least >= self.least_end {
            self.least_level += 1;
            let joins = |member: &usize| loads[*member] == self.least_level;
            while self.members.get(self.least_end).is_some_and(joins) {
                self.least_end += 1;
            }
            self.next_least = 0;
        }
        self.next_least += 1;
        self.members[self.next_least - 1]
    }

    /// Who gives the next partition; the caller takes it, or excludes the member. `None`: all are excluded.
    pub(super) fn most_loaded(&mut self, loads: &[i64]) -> Option<usize> {
        if self.next_most <= self.most_start {
            self.most_level = match self.most_start.checked_sub(1) {
                // Everybody in the range was excluded: the next lower ones are the range.
                Some(below) if self.most_end <= self.most_start => loads[self.members[below]],
                _ => self.most_level - 1,
            };
            while self.most_start > 0 && loads[self.members[self.most_start - 1]] == self.most_level {
                self.most_start -= 1;
            }
            self.next_most = self.most_end;
        }
        self.next_most = self.next_most.checked_sub(1)?;
        Some(self.members[self.next_most])
    }

    /// The member that `most_loaded` named last has nothing to give: it is not named again.
    pub(super) fn exclude_most_loaded(&mut self) {
        self.most_end -= 1;
        self.members.swap(self.next_most, self.most_end);
    }

    /// Whether moving a partition would not help any more.
    pub(super) const fn are_balanced(&self) -> bool {
        self.most_level - self.least_level <= 1
    }
}
