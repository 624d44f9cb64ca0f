//! Laws of planning: what is asked, what is refused, what makes two plans the same.
#![allow(clippy::unwrap_used, missing_docs)]

use mapfold_grid::{Block, Edge, GeoBox, Pixel, Shape, Window};
use mapfold_plan::{
    Cx, Domain, Error, Flow, Need, Node, Place, Plan, PlanOptions, RasterDomain, Result, Step, Tile, TimeKey,
};
use mapfold_store::Stores;
use serde_json::Value;
use std::sync::Arc;

fn plan() -> Plan {
    Plan::new(Stores::new(), PlanOptions::default())
}

/// Every pixel is its row; blocks of 64 x 64.
struct Rows(Domain, Arc<GeoBox>);

fn rows(plan: &Plan, grid: GeoBox) -> Flow<Block<f32>> {
    let (grid, edge) = (Arc::new(grid), Shape { rows: 64, cols: 64 });
    let domain = RasterDomain { grid: grid.clone(), superblock: edge, align: edge, times: vec![TimeKey(0)] };
    Flow::from_node(plan, Arc::new(Rows(Domain::Raster(domain), grid)))
}

fn square(edge: usize) -> GeoBox {
    GeoBox::plain(Shape { rows: edge, cols: edge })
}

impl Node<Block<f32>> for Rows {
    fn domain(&self) -> &Domain {
        &self.0
    }
    fn eval(&self, at: &Place, _: &Cx<'_>, emit: &mut dyn FnMut(Block<f32>) -> Result<()>) -> Result<()> {
        let (_, w) = at.window();
        let row = |i: usize| (w.row + (i / w.cols) as i64) as f32;
        emit(Block::new(self.1.clone(), w, 1, (0..w.pixels()).map(row).collect())?)
    }
    fn needs(&self, _: &Place, _: &mut Vec<Need>) -> Result<()> {
        Ok(())
    }
    fn held(&self, at: &Place) -> u64 {
        4 * at.pixels()
    }
    fn memory(&self, at: &Place) -> u64 {
        self.held(at)
    }
    fn recompute(&self, _: &Place) -> f64 {
        1.0
    }
    fn steps(&self, out: &mut Vec<Step>) {
        out.push(Step { what: "rows".into(), at: String::new() });
    }
    fn input_bytes(&self) -> u64 {
        0
    }
}

#[test]
fn a_question_is_asked_once_and_recorded_once() {
    let asked = std::cell::Cell::new(0);
    let find = || {
        asked.set(asked.get() + 1);
        Ok(asked.get())
    };
    let first = plan();
    let got: Vec<u32> = ["a", "b", "a", "b"].iter().map(|q| first.ask(q, find).unwrap()).collect();
    assert_eq!((got.as_slice(), first.answers().len()), ([1, 2, 1, 2].as_slice(), 2));

    let again = Plan::replaying(Stores::new(), PlanOptions::default(), first.answers());
    let never = || -> Result<u32> { Err(Error::job("a replaying plan asks no one")) };
    let replayed: Vec<u32> = ["a", "b", "a", "b"].iter().map(|q| again.ask(q, never).unwrap()).collect();
    assert_eq!(replayed, got);
    assert!(again.ask("c", never).unwrap_err().what().contains("not deterministic"));
}

#[test]
fn questions_that_differ_in_their_secrets_only_are_two() {
    let p = plan();
    let ask = |token: &str| p.ask(&format!("open https://host/f.tif?token={token}"), || Ok(token.to_string())).unwrap();
    assert_eq!((ask("one"), ask("two")), ("one".into(), "two".into()));
    assert!(p.answers().iter().all(|a| !a.question.contains("one") && !a.question.contains("two")));
}

#[test]
fn a_url_that_was_signed_anew_is_the_same_input() {
    let of = |signature: &str, file: &str, size: u32| {
        let p = plan();
        let url = format!("https://host/{file}?sig={signature}&v=1");
        let loc = mapfold_store::Loc::parse(&url).unwrap();
        p.ask(&format!("open {url}"), || Ok((size, url.clone(), loc.clone()))).unwrap();
        p.fingerprint(&serde_json::json!({ "red": url, "more": [url] }))
    };
    assert_eq!(of("monday", "a.tif", 1), of("tuesday-and-longer", "a.tif", 1));
    assert_ne!(of("monday", "a.tif", 1), of("monday", "b.tif", 1));
    assert_ne!(of("monday", "a.tif", 1), of("monday", "a.tif", 2), "what was found still counts");
}

#[test]
fn a_list_is_looked_up_once_and_replayed_without_the_store() {
    let stores = Stores::new();
    let at = |name: &str| mapfold_store::Loc::parse(&format!("memory://lab/{name}")).unwrap();
    stores.put(&at("list.txt"), "b.tif\nhttps://host/a.tif?sig=secret\n".into()).unwrap();
    let list = mapfold_store::Loc::parse("@memory://lab/list.txt").unwrap();
    let first = Plan::new(stores, PlanOptions::default());
    let found = first.locations([&list, &at("c.tif")]).unwrap();
    let far = mapfold_store::Loc::parse("https://host/a.tif?sig=secret").unwrap();
    assert_eq!(found, [at("b.tif"), far, at("c.tif")]);
    let again = Plan::replaying(Stores::new(), PlanOptions::default(), first.answers());
    assert_eq!(again.locations([&list, &at("c.tif")]).unwrap(), found);
    assert_eq!(again.fingerprint(&Value::Null), first.fingerprint(&Value::Null));
}

#[test]
fn a_union_numbers_its_flows_and_keeps_their_places() {
    let p = plan();
    let flow = |edge: usize| rows(&p, square(edge)).map(|b| (b.grid().shape.rows, b.pixel_count()));
    let all = p.union(vec![flow(100), flow(3), flow(70)]).unwrap();
    let mut pixels = std::collections::BTreeMap::new();
    for (number, (edge, count)) in all.collect_here().unwrap() {
        assert_eq!(edge, [100, 3, 70][number as usize]);
        *pixels.entry(number).or_insert(0) += count;
    }
    assert_eq!(pixels.into_values().collect::<Vec<_>>(), [10_000, 9, 4900]);
    let units = p.union(vec![p.range(2), p.range(0), p.range(3)]).unwrap().collect_here().unwrap();
    assert_eq!(units, [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]);
    let (grouped, area) = (p.range(3).map(|n| (n, n)).reduce(|k, _| *k), |f: Flow<Block<f32>>| f.map(|_| 0));
    assert!(p.union(Vec::<Flow<u64>>::new()).is_err() && p.union(vec![p.range(3), grouped]).is_err());
    assert!(p.union(vec![p.range(3), area(rows(&p, square(3)))]).is_err());
}

#[test]
fn the_memory_of_a_union_is_that_of_its_largest_flow() {
    use mapfold_plan::memory::{Budget, Chunks};
    let most = |edges: &[usize]| {
        let p = plan();
        let flows = edges.iter().map(|e| rows(&p, square(*e))).collect();
        p.union(flows).unwrap().map(|(_, b)| b.pixel_count()).report("n").unwrap();
        let stage = p.stages()[0].clone();
        Budget::new(1 << 40, 1).plan(stage.as_ref(), Chunks::Auto).unwrap().window
    };
    // One large among many: it is found, wherever it stands.
    let mut edges = vec![4; 50];
    edges[33] = 900;
    assert_eq!(most(&edges), most(&[900]));
}

#[test]
fn settings_grids_and_splits_are_in_the_fingerprint() {
    let of = |edge: usize, west: f64, setting: Option<u32>| {
        let p = plan();
        if let Some(s) = setting {
            p.set(s);
        }
        let mut grid = square(edge);
        grid.affine.c = west;
        rows(&p, grid).map(|b| b.pixel_count()).report("pixels").unwrap();
        p.fingerprint(&Value::Null)
    };
    let one = of(100, 0.0, None);
    assert_eq!(one, of(100, 0.0, None));
    // As many splits, elsewhere or of another size; and another reader or writer option.
    for other in [of(100, 5.0, None), of(99, 0.0, None), of(100, 0.0, Some(1))] {
        assert_ne!(one, other);
    }
    assert_ne!(of(100, 0.0, Some(1)), of(100, 0.0, Some(2)));
}

#[test]
fn reports_have_names_of_their_own() {
    let p = plan();
    p.range(1).report("all my bands").unwrap();
    assert_eq!(p.stages()[0].report_name(), Some("all my bands"));
    for taken in ["all my bands", "run"] {
        assert_eq!(p.range(1).report(taken).unwrap_err().exit_code(), 2);
    }
}

#[test]
fn a_halo_above_whole_blocks_is_refused_with_a_remedy() {
    let refused = |f: &dyn Fn(Flow<Block<f32>>) -> Flow<Block<f32>>| {
        let p = plan();
        let all = f(rows(&p, square(100))).halo(1, Edge::Nodata).stencil(|n| n.at(0, 0));
        let e = all.map(|b| b.pixel_count()).report("never").unwrap_err();
        assert!(e.what().contains("whole blocks") && e.remedy().is_some(), "{e}");
    };
    refused(&|f| f.filter(|_| true));
    refused(&|f| f.group_by(Tile).reduce(|_, stack| stack.blocks()[0].clone()));
    let p = plan();
    rows(&p, square(100)).halo(1, Edge::Nodata).map(|b| b.trim()).filter(|_| true).map(|_| 0).report("fine").unwrap();
    assert!(!p.stages()[0].cuttable(), "a filter is asked of whole splits");
}

#[test]
fn a_halo_over_blocks_of_another_size_is_an_error() {
    let p = plan();
    let first = |b: Block<f32>| {
        let w = Window { rows: 1, ..b.window() };
        b.crop(w).values(|v| v.to_f64() as f32)
    };
    let flow = rows(&p, square(100)).map(first).halo(1, Edge::Nearest).map(|b| b.trim());
    assert!(flow.collect_here().unwrap_err().what().contains("the halo expects"));
}
