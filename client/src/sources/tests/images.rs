//! OCI image layouts, built byte by byte.

use std::fs;

use cairn_proto::{
    hash::Sha256,
    manifest::{ArtifactKind, Bytes},
};

use super::{
    super::{ImageFault, Layers},
    *,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layout in the making.
struct Layout {
    root: TempDir,
    prefix: &'static str,
}

impl Layout {
    fn new(prefix: &'static str) -> Self {
        let root = directory(&[]);
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#;
        put(root.path(), &format!("{prefix}oci-layout"), marker);
        Self { root, prefix }
    }

    /// Writes a blob and returns its path and descriptor.
    fn blob(&self, media_type: &str, bytes: &[u8]) -> (String, String) {
        let digest = Sha256::of(bytes);
        let path = format!("{}blobs/sha256/{digest}", self.prefix);
        put(self.root.path(), &path, bytes);
        let size = bytes.len();
        let descriptor =
            format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#);
        (path, descriptor)
    }

    fn manifest(&self, config: &str, layers: &[&str]) -> (String, String) {
        let layers = layers.join(",");
        let json = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{layers}]}}"#
        );
        self.blob(MANIFEST, json.as_bytes())
    }

    fn index(&self, manifests: &[&str]) {
        let json = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            manifests.join(",")
        );
        put(
            self.root.path(),
            &format!("{}index.json", self.prefix),
            json.as_bytes(),
        );
    }

    fn record(&self) -> Result<Capture, SourceError> {
        try_record(self.root.path())
    }

    fn fault(&self) -> ImageFault {
        match self.record().unwrap_err() {
            SourceError::Image { fault, .. } => fault,
            error => panic!("{error}"),
        }
    }
}

struct Image {
    layout: Layout,
    manifest: String,
    config: String,
    layer: String,
}

/// An image for one platform, which its configuration names.
fn image(prefix: &'static str) -> Image {
    let layout = Layout::new(prefix);
    let config = br#"{"architecture":"arm64","os":"linux","variant":"v8","rootfs":{}}"#;
    let (config, config_link) = layout.blob(CONFIG, config);
    let (layer, layer_link) = layout.blob(LAYER, b"\x1f\x8b\0a layer");
    let (manifest, manifest_link) = layout.manifest(&config_link, &[&layer_link]);
    layout.index(&[&manifest_link]);
    Image {
        layout,
        manifest,
        config,
        layer,
    }
}

#[test]
fn every_part_of_an_image_is_named_linked_and_verified() {
    for prefix in ["", "images/shop/"] {
        let image = image(prefix);
        put(image.layout.root.path(), "web.yaml", b"kind: Deployment\n");
        let capture = image.layout.record().unwrap();
        let part = |name: &str| capture.artifact(name).unwrap();

        let index = format!("{prefix}index.json");
        assert_eq!(part(&index).kind, ArtifactKind::Image);
        assert_eq!(part(&index).media_type.as_deref(), Some(INDEX));
        assert_eq!(part(&index).parent, None);
        assert_eq!(
            part(&format!("{prefix}oci-layout")).kind,
            ArtifactKind::File
        );

        let manifest_part = part(&image.manifest);
        assert_eq!(manifest_part.kind, ArtifactKind::ImageManifest);
        assert_eq!(manifest_part.media_type.as_deref(), Some(MANIFEST));
        assert_eq!(manifest_part.parent.as_ref().unwrap().as_str(), index);
        assert_eq!(manifest_part.platform.as_deref(), Some("linux/arm64/v8"));

        let config = part(&image.config);
        assert_eq!(config.kind, ArtifactKind::ImageConfig);
        assert_eq!(config.platform.as_deref(), Some("linux/arm64/v8"));
        assert_eq!(config.parent.as_ref().unwrap().as_str(), image.manifest);

        let layer = part(&image.layer);
        assert_eq!(layer.kind, ArtifactKind::ImageLayer);
        assert_eq!(layer.media_type.as_deref(), Some(LAYER));
        assert!(matches!(layer.bytes, Bytes::External { .. }));
        assert_eq!(layer.mode, None);
        let id = layer.bytes.digests().unwrap().blake3;
        assert!(capture.content(&id).is_none());

        assert_eq!((capture.files, capture.images), (2, 1));
        manifest(&capture);
    }
}

#[test]
fn layers_are_stored_if_asked_for() {
    let image = image("");
    let mut options = CaptureOptions::new(Purpose::Record);
    options.layers = Layers::Stored;
    let capture = capture(&[input(image.layout.root.path())], &options, None, &()).unwrap();
    let layer = capture.artifact(&image.layer).unwrap();
    assert!(matches!(layer.bytes, Bytes::Stored { .. }));
}

#[test]
fn indexes_within_indexes_state_platforms_and_shared_blobs_have_one_parent() {
    let layout = Layout::new("");
    let (config, config_link) = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let (layer, layer_link) = layout.blob(LAYER, b"shared");
    // The same blob as configuration and as layer, as artifacts have it.
    let (one, one_link) = layout.manifest(&config_link, &[&layer_link, &config_link]);
    let (two, two_link) = layout.manifest(&config_link, &[&layer_link, &layer_link]);
    let with_platform = |link: &str, platform: &str| link.replace('}', &format!(",{platform}}}"));
    let one_link = with_platform(
        &one_link,
        r#""platform":{"os":"linux","architecture":"amd64"}"#,
    );
    let (foreign, foreign_link) = layout.blob("application/x-unknown", b"?");
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{one_link},{two_link},{foreign_link}]}}"#
    );
    let (inner, inner_link) = layout.blob(INDEX, json.as_bytes());
    layout.index(&[&inner_link, &inner_link]);

    let capture = layout.record().unwrap();
    let part = |name: &str| capture.artifact(name).unwrap();
    assert_eq!(part(&inner).kind, ArtifactKind::ImageIndex);
    assert_eq!(part(&one).platform.as_deref(), Some("linux/amd64"));
    assert_eq!(part(&two).platform, None);
    assert_eq!(part(&config).kind, ArtifactKind::ImageConfig);
    assert_eq!(part(&foreign).kind, ArtifactKind::ImageLayer);
    let first = one.clone().min(two.clone());
    assert_eq!(part(&layer).parent.as_ref().unwrap().as_str(), first);
    assert_eq!(part(&config).parent.as_ref().unwrap().as_str(), first);
    assert_eq!(capture.images, 1);
    manifest(&capture);
}

#[test]
fn a_layout_with_a_broken_link_is_refused_when_recording_and_measured_when_verifying() {
    type Break<'a> = &'a dyn Fn(&Image);
    let intact = image("img/");
    let recorded = manifest(&intact.layout.record().unwrap());
    let breaks: [(Break<'_>, ImageFault); 4] = [
        (
            &|image| fs::remove_file(image.layout.root.path().join(&image.layer)).unwrap(),
            ImageFault::Missing,
        ),
        (
            &|image| put(image.layout.root.path(), &image.layer, b"\x1f\x8b\0another"),
            ImageFault::Mismatch,
        ),
        (
            &|image| put(image.layout.root.path(), &image.config, b"{}"),
            ImageFault::Mismatch,
        ),
        (
            &|image| put(image.layout.root.path(), "img/index.json", b"{"),
            ImageFault::Syntax,
        ),
    ];
    for (break_it, fault) in breaks {
        let image = image("img/");
        break_it(&image);
        assert_eq!(image.layout.fault(), fault);
        assert_eq!(
            image.layout.record().unwrap_err().reason(),
            Reason::ImageInvalid
        );
        verify(image.layout.root.path(), &Recorded::new(&recorded));
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let layout = Layout::new("");
    let (_, config) = layout.blob(CONFIG, b"{}");
    let both =
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"manifests":[{config}]}}"#);
    let (_, link) = layout.blob(MANIFEST, both.as_bytes());
    layout.index(&[&link]);
    assert_eq!(layout.fault(), ImageFault::MediaType);

    // An index that its descriptor calls a manifest, and one that calls itself so.
    let layout = Layout::new("");
    let (_, link) = layout.blob(MANIFEST, br#"{"schemaVersion":2,"manifests":[]}"#);
    layout.index(&[&link]);
    assert_eq!(layout.fault(), ImageFault::MediaType);
    let layout = Layout::new("");
    let json = format!(r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","manifests":[]}}"#);
    let (_, link) = layout.blob(INDEX, json.as_bytes());
    layout.index(&[&link]);
    assert_eq!(layout.fault(), ImageFault::MediaType);

    // A member twice: readers differ on which counts.
    let layout = Layout::new("");
    put(
        layout.root.path(),
        "index.json",
        br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
    );
    assert_eq!(layout.fault(), ImageFault::Syntax);
}

#[test]
fn digests_other_than_sha256_are_unsupported_and_sizes_must_fit() {
    let sha512 = format!("sha512:{}", "0".repeat(128));
    let upper = format!("sha256:{}", "A".repeat(64));
    for digest in [sha512.as_str(), &upper, "sha256:../../etc/passwd", ""] {
        let layout = Layout::new("");
        layout.index(&[&format!(
            r#"{{"mediaType":"{MANIFEST}","digest":"{digest}","size":1}}"#
        )]);
        assert_eq!(layout.fault(), ImageFault::Digest);
    }
    let layout = Layout::new("");
    let (_, link) = layout.blob(LAYER, b"four");
    layout.index(&[&link.replace("\"size\":4", "\"size\":5")]);
    assert_eq!(layout.fault(), ImageFault::Mismatch);
}

#[test]
fn indexes_nested_without_end_and_json_without_end_are_refused() {
    let layout = Layout::new("");
    let (_, mut link) = layout.blob(LAYER, b"bottom");
    for _ in 0..12 {
        let json = format!(r#"{{"schemaVersion":2,"manifests":[{link}]}}"#);
        link = layout.blob(INDEX, json.as_bytes()).1;
    }
    layout.index(&[&link]);
    assert_eq!(layout.fault(), ImageFault::TooDeep);

    let layout = Layout::new("");
    let long = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        " ".repeat(5 << 20)
    );
    put(layout.root.path(), "index.json", long.as_bytes());
    assert_eq!(layout.fault(), ImageFault::TooLarge);

    let layout = Layout::new("");
    let (_, link) = layout.blob(LAYER, b"x");
    let json = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        vec![link.as_str(); 20_000].join(",")
    );
    let links: Vec<_> = (0..4)
        .map(|at| {
            layout
                .blob(INDEX, format!("{json}{}", " ".repeat(at)).as_bytes())
                .1
        })
        .collect();
    let links: Vec<_> = links.iter().map(String::as_str).collect();
    layout.index(&links);
    assert_eq!(layout.fault(), ImageFault::TooMany);
}

#[test]
fn files_that_nothing_links_to_are_plain_and_secrets_among_them_withheld() {
    let image = image("");
    let (stray, _) = image.layout.blob("x/y", b"stray");
    let (secret, _) = image.layout.blob("x/y", b"kind: Secret\ndata: {}\n");
    let capture = image.layout.record().unwrap();
    assert_eq!(capture.artifact(&stray).unwrap().kind, ArtifactKind::File);
    assert_eq!(capture.withheld.len(), 1);
    assert_eq!(capture.withheld[0].as_str(), secret);
}

#[test]
fn a_secret_that_is_part_of_an_image_is_recorded_by_its_digests_alone() {
    let layout = Layout::new("");
    let (config, config_link) = layout.blob(CONFIG, b"-----BEGIN PRIVATE KEY-----\nMIIE\n");
    let (_, link) = layout.manifest(&config_link, &[]);
    layout.index(&[&link]);
    let capture = layout.record().unwrap();
    let config = capture.artifact(&config).unwrap();
    assert!(matches!(config.bytes, Bytes::External { .. }));
    let id = config.bytes.digests().unwrap().blake3;
    assert!(capture.content(&id).is_none());
    assert_eq!(capture.notes.len(), 1);
}

#[test]
fn a_layout_within_or_around_a_large_directory_stays_single_beside_the_tree() {
    for prefix in ["", "img/"] {
        single_beside_a_tree(prefix);
    }
}

fn single_beside_a_tree(prefix: &'static str) {
    let image = image(prefix);
    for at in 0..1_100 {
        put(image.layout.root.path(), &format!("files/{at}"), b"x");
    }
    let root = image.layout.root.path();
    let capture = record(root);
    let tree = &capture.trees[&".".parse().unwrap()];
    assert_eq!(tree.entries().len(), 1_100);
    let kind = |name: &str| capture.artifact(name).map(|artifact| artifact.kind);
    assert_eq!(
        kind(&format!("{prefix}index.json")),
        Some(ArtifactKind::Image)
    );
    assert_eq!((capture.files, capture.images), (1_101, 1));

    let recorded = manifest(&capture);
    let again = verify(root, &Recorded::new(&recorded));
    assert_eq!(names(&again), names(&capture));
}

#[test]
fn two_layouts_do_not_mix() {
    let one = image("one/");
    for path in ["index.json", "oci-layout"] {
        let bytes = fs::read(one.layout.root.path().join("one").join(path)).unwrap();
        put(one.layout.root.path(), &format!("two/{path}"), &bytes);
    }
    // The second lacks the blobs that the first has.
    assert_eq!(one.layout.fault(), ImageFault::Missing);
}
