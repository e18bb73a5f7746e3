//! Whether XML is such that no reader of it takes it otherwise than another: the SDK's own takes
//! what stands before a broken place, and what stands between comments, for all there is.

use std::collections::HashSet;

use memchr::{memchr, memchr_iter, memchr2};
use roxmltree::{Document, Node, ParsingOptions};

/// Elements and texts: each costs the SDK more than its bytes.
const NODES_MAX: u32 = 200_000;
/// Bytes of the first tag, which names a namespace.
const ROOT_BYTES_MAX: usize = 4 << 10;
/// What elements of lists are called: they alone are many of one name.
const ITEMS: [&str; 2] = ["member", "entry"];

/// One sound document, with nothing in it but elements, each with text or with elements.
pub(super) fn check(xml: &[u8]) -> Result<(), String> {
    let wrong = |why: &dyn std::fmt::Display| format!("the answer is no XML: {why}");
    let text = std::str::from_utf8(xml).map_err(|error| wrong(&error))?;
    let body = undeclared(text).ok_or_else(|| wrong(&"it is declared in another encoding"))?;
    // Where XML is well formed, `<` stands for itself nowhere.
    if body.contains("<!") || body.contains("<?") {
        return Err(wrong(&"comments and the like have no place there"));
    }
    // The parser's work grows with the square of their number.
    if !is_plain(body.as_bytes()) {
        return Err(wrong(&"attributes have no place there"));
    }
    let options = ParsingOptions {
        nodes_limit: NODES_MAX,
        ..ParsingOptions::default()
    };
    let document = Document::parse_with_options(text, options).map_err(|error| wrong(&error))?;
    let mut elements = document.descendants().filter(Node::is_element);
    if elements.any(|element| !is_clear(element)) {
        return Err(wrong(&"an element is there twice, or is text and elements"));
    }
    Ok(())
}

/// What follows a declaration; none if that names another encoding.
fn undeclared(text: &str) -> Option<&str> {
    let Some(declared) = text.trim_start().strip_prefix("<?xml") else {
        return Some(text);
    };
    let (declaration, body) = declared.split_once("?>")?;
    let declaration = declaration.to_ascii_lowercase();
    let known = !declaration.contains("encoding") || declaration.contains("utf-8");
    known.then_some(body)
}

/// Whether all tags end before the next one begins, and only the first has attributes, and few.
fn is_plain(xml: &[u8]) -> bool {
    let mut tags = memchr_iter(b'<', xml).map(|at| {
        let tag = xml.get(at.saturating_add(1)..)?;
        let end = memchr2(b'<', b'>', tag)?;
        (tag.get(end) == Some(&b'>'))
            .then(|| tag.get(..end))
            .flatten()
    });
    let root = tags.next().flatten();
    root.is_some_and(|root| root.len() <= ROOT_BYTES_MAX)
        && tags.all(|tag| tag.is_some_and(|tag| memchr(b'=', tag).is_none()))
}

fn is_clear(element: Node<'_, '_>) -> bool {
    let mut names = HashSet::new();
    let (mut elements, mut words) = (false, false);
    for child in element.children() {
        if child.is_element() {
            elements = true;
            let name = child.tag_name().name();
            if !ITEMS.contains(&name) && !names.insert(name) {
                return false;
            }
        } else {
            words |= child.text().is_some_and(|text| !text.trim().is_empty());
        }
    }
    !(elements && words)
}

#[cfg(test)]
mod tests {
    use super::check;

    /// Goal: XML that one reader may read otherwise is no answer. Method: an answer that is cut
    /// everywhere, and one of each sort.
    #[test]
    fn xml_that_is_not_whole_is_no_answer() {
        let whole = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>a &lt; b = c</b><a>t</a>\n<c>\
                     <member>1</member><member>2</member></c></a>\n";
        check(whole.as_bytes()).unwrap();
        for cut in 0..whole.trim_end().len() {
            check(&whole.as_bytes()[..cut]).unwrap_err();
        }
        for none in [
            "hello",
            "{\"a\": 1}",
            "<a>a < b</a>",
            "<a><b>a < b</b><c/></a>",
            "<a><b></a></b>",
            "<a/><a/>",
            "<a>a<!-- -->b</a>",
            "<a><![CDATA[b]]></a>",
            "<a>a<?b?>c</a>",
            "<!DOCTYPE a><a/>",
            "<a>&b;</a>",
            "<a><member b='&#xD800;'/></a>",
            "<a><b>1</b><b>2</b></a>",
            "<a>good<b/>evil</a>",
            "<a><<b/></a>",
            "<?xml version='1.0' encoding='latin1'?><a/>",
        ] {
            check(none.as_bytes()).expect_err(none);
        }
        let many = format!("<a>{}</a>", "<member/>".repeat(200_001));
        check(many.as_bytes()).unwrap_err();
        let attributes: Vec<_> = (0..5_000).map(|at| format!(" a{at}=''")).collect();
        let attributes = attributes.concat();
        check(format!("<a{attributes}/>").as_bytes()).unwrap_err();
    }
}
