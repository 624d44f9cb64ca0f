//! What GDAL writes beside the pixels: nodata, band names, scale and offset, and other items.
//!
//! The metadata tag is XML of one fixed shape (`<GDALMetadata><Item name=".." sample="..">text</Item>..`), so a small
//! scanner reads it; a general XML parser is deliberately not used. Anything it does not understand is skipped.

use mapfold_grid::DType;

/// One `<Item>`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Band from 0, when the item is of one band.
    pub(crate) band: Option<usize>,
    pub(crate) role: String,
    pub(crate) domain: String,
}

impl Item {
    /// Name for people: the domain before it, the band's number from 1 behind it.
    pub(crate) fn label(&self) -> String {
        let domain = if self.domain.is_empty() { String::new() } else { format!("{}:", self.domain) };
        let band = self.band.map_or(String::new(), |b| format!("#{}", b + 1));
        format!("{domain}{}{band}", self.name)
    }
}

/// The items of the GDAL_METADATA tag.
pub(crate) fn items(xml: &str) -> Vec<Item> {
    let mut found = Vec::new();
    let mut rest = xml;
    while let Some(start) = rest.find("<Item") {
        rest = &rest[start + 5..];
        let Some(end) = rest.find('>') else { break };
        let (head, body) = (&rest[..end], &rest[end + 1..]);
        if let Some(empty) = head.strip_suffix('/') {
            found.push(item(empty, ""));
            rest = body;
            continue;
        }
        let Some(close) = body.find("</Item>") else { break };
        found.push(item(head, &body[..close]));
        rest = &body[close..];
    }
    found
}

fn item(head: &str, text: &str) -> Item {
    // GDAL escapes texts twice and says so in its source; a text escaped once stays as it is the second time.
    let mut item = Item { text: unescape(&unescape(text)), ..Item::default() };
    let mut rest = head;
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|c| matches!(c, '"' | '\'')) else { break };
        let Some((value, next)) = after[1..].split_once(quote) else { break };
        match name.trim() {
            "name" => item.name = unescape(value),
            "sample" => item.band = value.parse().ok(),
            "role" => item.role = unescape(value),
            "domain" => item.domain = unescape(value),
            _ => {}
        }
        rest = next;
    }
    item
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let entity = rest.find(';').and_then(|end| Some((entity(&rest[1..end])?, end)));
        let (c, len) = entity.map_or(('&', 1), |(c, end)| (c, end + 1));
        out.push(c);
        rest = &rest[len..];
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let hex = number.strip_prefix(['x', 'X']);
            let code = hex.map_or_else(|| number.parse(), |h| u32::from_str_radix(h, 16)).ok()?;
            char::from_u32(code)
        }
    }
}

/// The nodata text as a value that can stand in `dtype`, or why it cannot.
///
/// Floats go through their own type, so that `-3.4e38` of a float32 file equals its pixels.
pub(crate) fn nodata(text: &str, dtype: DType) -> Result<f64, String> {
    let refuse = |why: &str| Err(format!("nodata {:?} {why}; no value is taken as nodata", text.trim()));
    let Ok(value) = text.trim().parse::<f64>() else { return refuse("is not a number") };
    if value.is_nan() {
        return if dtype.is_float() { Ok(f64::NAN) } else { refuse(&format!("cannot stand in {dtype}")) };
    }
    let (low, high) = dtype.range();
    match dtype {
        DType::F64 => Ok(value),
        DType::F32 if value.is_finite() && !(value as f32).is_finite() => refuse("does not fit float32"),
        DType::F32 => Ok(f64::from(value as f32)),
        _ if value < low || value > high || value.fract() != 0.0 => refuse(&format!("cannot stand in {dtype}")),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn items_with_attributes_in_any_order_and_entities() {
        let xml = "<GDALMetadata>\n <Item name=\"A&amp;B\">x &amp;lt; &#65;&#x42; &odd; y</Item>\n\
                   <Item sample='2' role=\"description\" name=\"DESCRIPTION\">B04</Item><Item name=\"E\"/></GDALMetadata>";
        let got = items(xml);
        assert_eq!((got[0].name.as_str(), got[0].text.as_str(), got[0].band), ("A&B", "x < AB &odd; y", None));
        assert_eq!((got[1].text.as_str(), got[1].band, got[1].role.as_str()), ("B04", Some(2), "description"));
        assert_eq!((got[1].label(), got.len()), ("DESCRIPTION#3".into(), 3));
    }

    #[test]
    fn broken_xml_ends_quietly() {
        for xml in
            ["<Item", "<Item name=\"a", "<Item name=\"a\">b", "<Item name=a>b</Item>", "&;&#;&#x110000;", "<Item/"]
        {
            assert!(items(xml).len() <= 1, "{xml}");
        }
    }

    #[test]
    fn nodata_goes_through_the_type() {
        let lowest = f64::from(f32::MIN);
        assert_eq!(nodata("-3.4028234663852886e+38", DType::F32).unwrap(), lowest);
        assert_eq!(nodata("-3.40282347e+38", DType::F32).unwrap(), lowest);
        assert_eq!(nodata("-3.4e38", DType::F32).unwrap(), f64::from(-3.4e38f32));
        assert_eq!(nodata(" 65535 ", DType::U16).unwrap(), 65535.0);
        assert!(nodata("nan", DType::F64).unwrap().is_nan());
        for (text, dtype) in [
            ("-9999", DType::U16),
            ("256", DType::U8),
            ("0.5", DType::I16),
            ("nan", DType::U8),
            ("-1e300", DType::F32),
            ("none", DType::F32),
        ] {
            assert!(nodata(text, dtype).unwrap_err().contains("no value is taken as nodata"), "{text} in {dtype}");
        }
    }
}
