//! What the doctor says: text for people, JSON for programs.

use serde_json::{Value, json};

use super::finding::{Finding, Verdict};

/// A line for each check, what mends it below, and a sum.
pub fn to_text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.entry.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { entry, outcome } in findings {
        text.push_str(&format!("{:8} {:width$}  {}", outcome.verdict.word(), entry.id, outcome.found));
        if !outcome.wanted.is_empty() {
            text.push_str(&format!(" (wanted: {})", outcome.wanted));
        }
        text.push('\n');
        if let Some(fix) = &outcome.fix {
            text.push_str(&format!("{:8} {fix}\n", "  fix:"));
        }
    }
    text.push_str(&format!("\n{}\n", sum(findings)));
    if worst(findings) >= Verdict::Advice {
        text.push_str(MORE);
    }
    text
}

/// One object; the shape is in the guide.
pub fn to_json(findings: &[Finding]) -> String {
    let checks: Vec<Value> = findings
        .iter()
        .map(|Finding { entry, outcome }| {
            json!({
                "id": entry.id,
                "verdict": outcome.verdict.word(),
                "found": outcome.found,
                "wanted": outcome.wanted,
                "fix": outcome.fix,
                "why": entry.ours,
            })
        })
        .collect();
    let report = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "verdict": worst(findings).word(),
        "checks": checks,
    });
    format!("{report:#}\n")
}

/// The worst verdict that asks for something: what cannot be told asks for nothing.
pub fn worst(findings: &[Finding]) -> Verdict {
    let verdicts = findings.iter().map(|finding| finding.outcome.verdict);
    verdicts.filter(|verdict| *verdict != Verdict::Unknown).max().unwrap_or(Verdict::Ok)
}

fn sum(findings: &[Finding]) -> String {
    let count = |verdict| findings.iter().filter(|finding| finding.outcome.verdict == verdict).count();
    let counts = [Verdict::Ok, Verdict::Advice, Verdict::Problem, Verdict::Unknown]
        .map(|verdict| format!("{} {}", count(verdict), verdict.word()));
    counts.join(", ")
}

const MORE: &str = "\
What each is, costs, and when to leave it: ringrelay doctor --emit guide
To keep sysctls over a reboot: ringrelay doctor --emit sysctl > /etc/sysctl.d/90-ringrelay.conf
";
