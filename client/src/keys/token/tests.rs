//! What needs no token: URIs, and the spellings of points.
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use cairn_proto::reason::Reason;
use proptest::prelude::*;

use super::{
    TokenError,
    objects::point_of,
    uri::{self, TokenUri, UriError},
};

fn parsed(text: &str) -> Result<TokenUri, UriError> {
    text.parse()
}

/// Goal: each part of a URI narrows what it fits. Method: one with all parts, escaped.
#[test]
fn a_uri_says_which_module_which_token_and_which_key() {
    let text = "pkcs11:token=My%20token;serial=%30%31;manufacturer=Snake%20Oil,%20Inc.;model=1.0;\
                slot-id=7;type=private;object=deploy;id=%00%ff?module-path=/usr/lib/p%2311.so&\
                pin-source=file:/etc/pin";
    let uri = parsed(text).unwrap();
    let expected = TokenUri {
        module: PathBuf::from("/usr/lib/p#11.so"),
        pin_source: Some(PathBuf::from("/etc/pin")),
        token: Some("My token".into()),
        serial: Some("01".into()),
        manufacturer: Some("Snake Oil, Inc.".into()),
        model: Some("1.0".into()),
        slot: Some(7),
        object: Some("deploy".into()),
        id: Some(vec![0, 0xff]),
    };
    assert_eq!(uri, expected);
    for source in ["/etc/pin", "file:///etc/pin", "file:/etc/pin"] {
        let uri = parsed(&format!("PKCS11:?module-path=/m.so&pin-source={source}")).unwrap();
        assert_eq!(uri.pin_source, Some(PathBuf::from("/etc/pin")));
    }
}

/// Goal: what could not be held to is refused, and no value is repeated, which could be a PIN.
#[test]
fn a_uri_that_could_fit_another_key_is_refused() {
    let cases = [
        ("pkcs11:token=a", UriError::NoModule),
        ("pkcs11:token=a?pin-value=4321", UriError::PinValue),
        ("pkcs11:token=a;pin-value=4321", UriError::PinValue),
        (
            "pkcs11:?module-path=lib/m.so",
            UriError::Relative {
                name: "module-path",
            },
        ),
        (
            "pkcs11:?module-path=/m.so&pin-source=file:pin",
            UriError::Relative { name: "pin-source" },
        ),
        (
            "pkcs11:?module-path=/m.so&pin-source=|cat",
            UriError::Relative { name: "pin-source" },
        ),
        (
            "pkcs11:token=a;token=b?module-path=/m.so",
            UriError::Twice { name: "token" },
        ),
        (
            "pkcs11:token=a%2?module-path=/m.so",
            UriError::Value { name: "token" },
        ),
        (
            "pkcs11:token=a b?module-path=/m.so",
            UriError::Value { name: "token" },
        ),
        (
            "pkcs11:slot-id=+7?module-path=/m.so",
            UriError::Value { name: "slot-id" },
        ),
        (
            "pkcs11:library-version=3?module-path=/m.so",
            UriError::Unknown {
                name: "library-version".into(),
            },
        ),
        (
            "pkcs11:module-path=/m.so",
            UriError::Unknown {
                name: "module-path".into(),
            },
        ),
        ("pkcs11:type=cert?module-path=/m.so", UriError::Type),
        ("pkcs11:deploy?module-path=/m.so", UriError::Syntax),
        ("pkcs11:4321=?module-path=/m.so", UriError::Syntax),
        ("agent:x", UriError::Syntax),
    ];
    for (text, expected) in cases {
        let error = parsed(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(!error.to_string().contains("4321"), "{error}");
    }
    let long = format!("pkcs11:object={}?module-path=/m.so", "a".repeat(5000));
    assert_eq!(parsed(&long), Err(UriError::TooLong));
    let reason = TokenError::from(UriError::PinValue).reason();
    assert_eq!(reason, Reason::PinExposed);
    let reason = TokenError::from(UriError::NoModule).reason();
    assert_eq!(reason, Reason::KeyUri);
}

/// Goal: both spellings of a point that tokens use are read, and nothing else.
#[test]
fn a_point_is_read_bare_or_wrapped() {
    let point: Vec<u8> = (0..32).collect();
    let wrapped = [&[0x04, 0x20], point.as_slice()].concat();
    assert_eq!(point_of(&point).unwrap().as_slice(), point);
    assert_eq!(point_of(&wrapped).unwrap().as_slice(), point);
    let bits = [&[0x03, 0x21, 0x00], point.as_slice()].concat();
    let longer = [wrapped.as_slice(), &[0]].concat();
    for other in [&[][..], &point[1..], &wrapped[1..], &bits, &longer] {
        assert_eq!(point_of(other), None);
    }
}

proptest! {
    /// Goal: the URI that a key is listed under names that key. Method: any labels and ids, read back.
    #[test]
    fn what_is_printed_of_a_key_is_read_back(
        token in "[^\\x00]{1,16}",
        object in "[^\\x00]{1,16}",
        id in proptest::collection::vec(any::<u8>(), 1..16),
    ) {
        let shown = uri::of_key(&token, "", object.as_bytes(), &id);
        let read = parsed(&format!("{shown}?module-path=/m.so")).unwrap();
        prop_assert_eq!(read.token, Some(token));
        prop_assert_eq!(read.object, Some(object));
        prop_assert_eq!(read.id, Some(id));
    }

    /// Goal: no text makes the parser fail in another way than by an error.
    #[test]
    fn no_text_breaks_the_parser(text in "(pkcs11:)?[ -~é]{0,64}") {
        let _ = parsed(&text);
    }
}
