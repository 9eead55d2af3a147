//! The API guide, from Markdown to a page.

use std::collections::HashMap;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

/// The guide that is part of the binary, as Markdown.
pub const GUIDE: &str = include_str!("../../docs/guide.md");

/// The whole page that shows `markdown` (CommonMark, with tables). HTML in it is shown, not obeyed, and links that run
/// code lead nowhere. Headings can be linked to by their text in lower case, with dashes.
pub fn render_guide(markdown: &str) -> String {
    let mut events: Vec<Event<'_>> = Parser::new_ext(markdown, Options::ENABLE_TABLES).map(disarm).collect();
    name_headings(&mut events);
    let mut page = String::from(PAGE_START);
    html::push_html(&mut page, events.into_iter());
    page.push_str(PAGE_END);
    page
}

fn disarm(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Link { link_type, dest_url: safe(dest_url), title, id })
        }
        Event::Start(Tag::Image { link_type, dest_url, title, id }) => {
            Event::Start(Tag::Image { link_type, dest_url: safe(dest_url), title, id })
        }
        other => other,
    }
}

/// A link to elsewhere in this place, or with a scheme that only shows something.
fn safe(link: CowStr<'_>) -> CowStr<'_> {
    let scheme = link.split(['/', '?', '#']).next().unwrap_or_default().split_once(':').map(|(scheme, _)| scheme);
    let shows = |scheme: &str| ["http", "https", "mailto"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    if scheme.is_none_or(shows) { link } else { CowStr::Borrowed("") }
}

fn name_headings(events: &mut [Event<'_>]) {
    let mut count = HashMap::new();
    for start in 0..events.len() {
        if !matches!(events[start], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let inside = events[start + 1..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let text: String = inside
            .filter_map(|event| match event {
                Event::Text(text) | Event::Code(text) => Some(text.as_ref()),
                _ => None,
            })
            .collect();
        let mut name: String = text
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let times = count.entry(name.clone()).and_modify(|times| *times += 1).or_insert(0);
        if *times > 0 {
            name = format!("{name}-{times}");
        }
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[start] {
            *id = Some(name.into());
        }
    }
}

const PAGE_START: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ringrelay: guide</title>
<style>
:root { color-scheme: light dark; }
body { max-width: 50rem; margin: 0 auto; padding: 1rem; font: 1rem/1.6 system-ui, sans-serif; }
h1, h2, h3 { line-height: 1.25; margin: 2rem 0 .75rem; }
code, pre { font: .9em/1.5 ui-monospace, monospace; }
code { background: color-mix(in srgb, currentColor 8%, transparent); padding: .1em .3em; border-radius: .25rem; }
pre { background: color-mix(in srgb, currentColor 8%, transparent); padding: .75rem; border-radius: .5rem; overflow-x: auto; }
pre code { background: none; padding: 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: .35rem .6rem; text-align: left; vertical-align: top; }
</style>
</head>
<body>
<nav><a href="/">ringrelay</a> · <a href="/client">client</a> · <a href="/docs">reference</a></nav>
<main>
"#;

const PAGE_END: &str = r#"</main>
<script>
// On a guarded relay the token that opened this page opens the others; it is nobody else's business.
const auth = new URLSearchParams(location.search).get('auth');
for (const link of auth ? document.links : []) {
  if (link.origin === location.origin && !link.getAttribute('href').startsWith('#')) link.search = new URLSearchParams({ auth });
}
</script>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_a_page() {
        let page = render_guide("# A *b*\n\n| x | y |\n| - | - |\n| 1 | `2` |\n\n## A b\n");
        assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
        assert!(page.contains("<h1 id=\"a-b\">A <em>b</em></h1>"), "{page}");
        assert!(page.contains("<h2 id=\"a-b-1\">A b</h2>"), "{page}");
        assert!(page.contains("<td><code>2</code></td>"), "{page}");
    }

    #[test]
    fn html_is_shown_and_not_obeyed() {
        let page = render_guide("<script>alert(1)</script>\n\na <b onclick=\"x\">b</b>\n");
        assert!(!page.contains("<script>alert") && !page.contains("<b "), "{page}");
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{page}");
    }

    #[test]
    fn links_that_run_code_lead_nowhere() {
        for link in ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "vbscript:x"] {
            let page = render_guide(&format!("[a]({link})\n![b]({link})"));
            assert!(page.contains("<a href=\"\">a</a>") && page.contains("<img src=\"\""), "{page}");
        }
        for link in ["https://a.example/b:c", "#a", "/docs?x=y:z", "mailto:a@b.example", "relative"] {
            assert!(render_guide(&format!("[a]({link})")).contains(&format!("href=\"{link}\"")), "{link}");
        }
    }

    #[test]
    fn the_guide_links_to_headings_that_there_are() {
        let page = render_guide(GUIDE);
        let links: Vec<&str> =
            page.split("href=\"#").skip(1).map(|rest| rest.split('"').next().unwrap_or_default()).collect();
        assert!(!links.is_empty());
        for link in links {
            assert!(page.contains(&format!(" id=\"{link}\"")), "#{link}");
        }
    }
}
