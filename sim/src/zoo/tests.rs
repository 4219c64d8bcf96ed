use super::Patch;

const PATCH: &str = "\
# id: X01
# source: TICKET-1
# broke: something
# caught-by: ACKED-DURABLE, LOG-MATCH
# profile: smoke
# seeds: 20
--- a/crates/x/src/lib.rs
+++ b/crates/x/src/lib.rs
@@ -2,3 +2,3 @@ fn context()
 b
-c
+C
 d
@@ -7,2 +7,3 @@
 g
+new
 h
";

fn patched(text: &str, original: &str) -> Result<String, String> {
    let patch = Patch::parse(text)?;
    patch.changes[0].apply(original)
}

#[test]
fn a_patch_says_what_it_plants_and_who_must_object() {
    let patch = Patch::parse(PATCH).expect("it is whole");
    assert_eq!(patch.id, "X01");
    assert_eq!(patch.caught_by, ["ACKED-DURABLE", "LOG-MATCH"]);
    assert_eq!(patch.range(), 0..20);
    assert_eq!(patch.changes[0].path, "crates/x/src/lib.rs");
}

#[test]
fn hunks_change_the_lines_that_they_name() {
    let original = "a\nb\nc\nd\ne\nf\ng\nh\n";
    let wanted = "a\nb\nC\nd\ne\nf\ng\nnew\nh\n";
    assert_eq!(patched(PATCH, original), Ok(wanted.to_owned()));
}

#[test]
fn hunks_follow_their_lines_when_these_have_moved_and_take_the_nearest_of_two_places() {
    let original = "0\n0\na\nb\nc\nd\ne\nf\ng\nh\ng\nh\n";
    let wanted = "0\n0\na\nb\nC\nd\ne\nf\ng\nnew\nh\ng\nh\n";
    assert_eq!(patched(PATCH, original), Ok(wanted.to_owned()));
}

#[test]
fn a_hunk_whose_lines_are_gone_does_not_apply() {
    let refused = patched(PATCH, "a\nb\nc changed\nd\ng\nh\n").unwrap_err();
    assert!(refused.contains("crates/x/src/lib.rs:2"), "{refused}");
}

#[test]
fn an_incomplete_head_an_unknown_judge_and_foreign_code_are_refused() {
    for key in ["id", "source", "broke", "caught-by", "profile", "seeds"] {
        let without: Vec<&str> = PATCH
            .lines()
            .filter(|line| !line.starts_with(&format!("# {key}: ")))
            .collect();
        let refused = Patch::parse(&without.join("\n")).unwrap_err();
        assert!(refused.contains(key), "{refused}");
    }
    let unknown = PATCH.replace("LOG-MATCH", "LOG-MISMATCH");
    assert!(Patch::parse(&unknown).unwrap_err().contains("LOG-MISMATCH"));
    let foreign = PATCH.replace("crates/x", "sim");
    assert!(Patch::parse(&foreign).unwrap_err().contains("sim/src"));
    let nothing = PATCH.split("---").next().expect("a head");
    assert!(Patch::parse(nothing).is_err());
}
