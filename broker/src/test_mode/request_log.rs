//! The last requests that came in, for tests that ask what a client sent.
//!
//! Filled by `TestMode::handle`, read by `GET /test/requests`. Invariants: sequence numbers have no gaps and never come again
//! in the life of a process; at most [`MOST`] requests are kept.

use std::collections::VecDeque;

use serde::Serialize;

use super::touched::Touched;

/// Requests that are remembered.
const MOST: usize = 10_000;

/// One request as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Request {
    /// Given by the log.
    pub(super) sequence: u64,
    /// The broker's clock when it came.
    pub(super) time_ms: i64,
    /// Kafka's name of the API.
    pub(super) api: &'static str,
    pub(super) version: i16,
    pub(super) client_id: String,
    /// The client's address, one for each of its connections.
    pub(super) connection: String,
    /// The rule that it met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fault: Option<u64>,
    #[serde(flatten)]
    pub(super) touched: Touched,
}

/// What was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) requests: Vec<Request>,
    /// What to give as `since` to go on.
    pub(super) next: u64,
    /// Requests from `since` on that are not remembered any more, of all APIs.
    pub(super) forgotten: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    kept: VecDeque<Request>,
    next: u64,
}

impl RequestLog {
    /// Remembers `request` under the next number.
    pub(super) fn record(&mut self, request: Request) {
        if self.kept.len() == MOST {
            self.kept.pop_front();
        }
        self.kept.push_back(Request { sequence: self.next, ..request });
        self.next += 1;
    }

    /// Forgets all and keeps counting; how many there were.
    pub(super) fn forget_all(&mut self) -> usize {
        std::mem::take(&mut self.kept).len()
    }

    /// What came with number `since` or later, of one API or of all.
    pub(super) fn page(&self, since: u64, api: Option<&str>) -> Page {
        let first = self.kept.front().map_or(self.next, |request| request.sequence);
        let wanted =
            |request: &&Request| request.sequence >= since && api.is_none_or(|api| request.api == api);
        let requests = self.kept.iter().filter(wanted).cloned().collect();
        Page { requests, next: self.next, forgotten: first.saturating_sub(since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(api: &'static str) -> Request {
        let (client_id, connection, touched) = (String::new(), String::new(), Touched::default());
        Request { sequence: 0, time_ms: 5, api, version: 1, client_id, connection, fault: None, touched }
    }

    fn sequences(page: &Page) -> Vec<u64> {
        page.requests.iter().map(|request| request.sequence).collect()
    }

    #[test]
    fn a_page_goes_on_where_the_last_one_ended() {
        let mut log = RequestLog::default();
        ["Fetch", "Produce", "Fetch"].into_iter().for_each(|api| log.record(request(api)));
        let page = log.page(0, Some("Fetch"));
        assert_eq!((sequences(&page), page.next, page.forgotten), (vec![0, 2], 3, 0));
        assert!(log.page(3, None).requests.is_empty());
        log.record(request("Produce"));
        assert_eq!(sequences(&log.page(3, None)), [3]);
    }

    #[test]
    fn the_oldest_requests_are_forgotten_and_counted() {
        let mut log = RequestLog::default();
        (0..MOST + 7).for_each(|_| log.record(request("Fetch")));
        let page = log.page(2, None);
        assert_eq!((page.requests.len(), page.requests[0].sequence, page.forgotten), (MOST, 7, 5));
    }
}
