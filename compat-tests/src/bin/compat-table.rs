//! Prints the Markdown tables of the last runs: `cargo run -p compat-tests --bin compat-table [onelog|kafka]...`.

use std::io::Write as _;

use anyhow::Result;
use compat_tests::client::CLIENTS;
use compat_tests::{CASES, layout, results};

fn main() -> Result<()> {
    let mut brokers: Vec<String> = std::env::args().skip(1).collect();
    if brokers.is_empty() {
        brokers = vec!["onelog".to_owned(), "kafka".to_owned()];
    }
    for broker in brokers {
        let all = results::read(&layout::cache_dir()?.join(format!("results-{broker}.jsonl")))?;
        let (tools, clients): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|result| result.client == results::KAFKA_TOOLS);
        let names: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
        let mut output = std::io::stdout().lock();
        writeln!(output, "{}\n{}", results::markdown(&broker, &clients, &names, CASES), libraries(&clients))?;
        let tool_cases: Vec<_> = tools.iter().map(|result| result.case.as_str()).collect();
        let title = format!("{broker}: Kafka's own tools");
        writeln!(output, "{}", results::markdown(&title, &tools, &[results::KAFKA_TOOLS], &tool_cases))?;
    }
    Ok(())
}

fn libraries(clients: &[results::CaseResult]) -> String {
    let mut names: Vec<_> = clients.iter().map(|result| result.library.as_str()).collect();
    names.retain(|name| !name.is_empty());
    names.sort_unstable();
    names.dedup();
    format!("Libraries: {}.\n", names.join("; "))
}
