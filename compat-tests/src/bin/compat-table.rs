//! Prints the Markdown tables of the last runs: `cargo run -p compat-tests --bin compat-table [onelog|kafka]...`.

use std::io::Write as _;

use anyhow::Result;
use compat_tests::client::{CLIENTS, OLD_CLIENTS};
use compat_tests::results::{ECOSYSTEM, KAFKA_TOOLS};
use compat_tests::{CASES, OLD_CLIENT_CASES, layout, results};

fn main() -> Result<()> {
    let mut brokers: Vec<String> = std::env::args().skip(1).collect();
    if brokers.is_empty() {
        brokers = vec!["onelog".to_owned(), "kafka".to_owned()];
    }
    for broker in brokers {
        let all = results::read(&layout::cache_dir()?.join(format!("results-{broker}.jsonl")))?;
        let of = |names: &[&str]| -> Vec<_> {
            all.iter().filter(|result| names.contains(&result.client.as_str())).cloned().collect()
        };
        let mut output = std::io::stdout().lock();
        for (title, clients, cases) in
            [("", CLIENTS, CASES), (": older Java clients", OLD_CLIENTS, OLD_CLIENT_CASES)]
        {
            let names: Vec<_> = clients.iter().map(|client| client.name).collect();
            let results = of(&names);
            let title = format!("{broker}{title}");
            writeln!(
                output,
                "{}\n{}",
                results::markdown(&title, &results, &names, cases),
                libraries(&results)
            )?;
        }
        for (title, column) in [("Kafka's own tools", KAFKA_TOOLS), ("programs of the ecosystem", ECOSYSTEM)]
        {
            let results = of(&[column]);
            let cases: Vec<_> = results.iter().map(|result| result.case.as_str()).collect();
            writeln!(
                output,
                "{}",
                results::markdown(&format!("{broker}: {title}"), &results, &[column], &cases)
            )?;
        }
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
