//! Files rebuilt from the golden ones: with functions, with other inputs and outputs.

use thumbformer::Tensor;
use thumbformer_checkpoint::Checkpoint;

use crate::{bytes, differences, fields, is_only_measured, load, load_bytes, names, records};

/// A record of protobuf with a payload.
fn record(field: u64, payload: &[u8]) -> Vec<u8> {
    let varint = |mut value: u64| {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    };
    [varint(field << 3 | 2), varint(payload.len() as u64), payload.to_vec()].concat()
}

/// A node of one output.
fn node(op: &str, domain: &str, inputs: &[&[u8]], outputs: &[&[u8]]) -> Vec<u8> {
    let named = |field: u64, names: &[&[u8]]| names.iter().flat_map(|name| record(field, name)).collect::<Vec<u8>>();
    let parts = [named(1, inputs), named(2, outputs), record(4, op.as_bytes()), record(7, domain.as_bytes())];
    record(1, &parts.concat())
}

/// The file with another graph, whose records are these, and with further records.
fn with_graph(file: &[u8], graph: &[u8], more: &[u8]) -> Vec<u8> {
    let others = records(file, 0..file.len()).into_iter().filter(|(field, ..)| *field != 7);
    let others: Vec<u8> = others.flat_map(|(_, record, _)| file[record].to_vec()).collect();
    [&others[..], &record(7, graph), more].concat()
}

/// Records of these fields of the graph.
fn of_graph(file: &[u8], taken: impl Fn(u64) -> bool) -> Vec<u8> {
    let graph = records(file, fields(file, &[7]).remove(0));
    graph.into_iter().filter(|(field, ..)| taken(*field)).flat_map(|(_, record, _)| file[record].to_vec()).collect()
}

fn texts<'a>(file: &'a [u8], path: &[u64]) -> Vec<&'a [u8]> {
    fields(file, path).into_iter().map(|range| &file[range]).collect()
}

fn notes(checkpoint: &Checkpoint) -> String {
    checkpoint.notes.join("\n")
}

#[test]
fn a_function_of_the_file_is_computed_as_its_nodes_are() {
    for name in names() {
        let original = bytes(&name);
        let inputs = [texts(&original, &[7, 11, 1]), texts(&original, &[7, 5, 8])].concat();
        let outputs = texts(&original, &[7, 12, 1]);
        // All of the graph in a function of other names, which another function calls.
        let rename = |name: &[u8]| [b"inner ", name].concat();
        let names = |field: u64, names: &[&[u8]]| {
            names.iter().flat_map(|name| record(field, &rename(name))).collect::<Vec<u8>>()
        };
        let nodes = fields(&original, &[7, 1]).into_iter().flat_map(|range| {
            let parts = records(&original, range).into_iter().map(|(field, whole, payload)| match (field, payload) {
                (1 | 2, Some(name)) if !name.is_empty() => record(field, &rename(&original[name])),
                _ => original[whole].to_vec(),
            });
            record(7, &parts.collect::<Vec<_>>().concat())
        });
        let function = |name: &str, nodes: Vec<u8>| {
            let parts = [record(1, name.as_bytes()), names(4, &inputs), names(5, &outputs), nodes, record(10, b"own")];
            record(25, &parts.concat())
        };
        let renamed = |names: &[&[u8]]| names.iter().map(|name| rename(name)).collect::<Vec<_>>();
        let (given, made) = (renamed(&inputs), renamed(&outputs));
        let [given, made] = [&given, &made].map(|names| names.iter().map(Vec::as_slice).collect::<Vec<&[u8]>>());
        let call = node("inner", "own", &given, &made);
        let within = records(&call, 0..call.len()).remove(0).2.expect("a node");
        let functions = [function("outer", record(7, &call[within])), function("inner", nodes.collect::<Vec<u8>>())];
        let graph = [of_graph(&original, |field| field != 1), node("outer", "own", &inputs, &outputs)].concat();
        let changed = with_graph(&original, &graph, &functions.concat());
        let changed = load_bytes(&name, &changed).unwrap_or_else(|error| panic!("{name}: {error}"));
        let original = load(&name).expect("a checkpoint");
        assert_eq!(changed.config, original.config, "{name}");
        assert_eq!(differences(&changed, &original), [], "{name}");
    }
}

/// An output by its name alone.
fn output(name: &[u8]) -> Vec<u8> {
    record(12, &record(1, name))
}

#[test]
fn outputs_on_the_way_to_a_head_are_left_out_and_a_note_names_them() {
    for name in ["bert", "keras_tokens", "optimum_vit", "llama", "keywords"] {
        let original = bytes(name);
        let ends = texts(&original, &[7, 12, 1]);
        let made = texts(&original, &[7, 1, 2]);
        let others: Vec<u8> = made.iter().filter(|own| !ends.contains(own)).flat_map(|own| output(own)).collect();
        let changed = with_graph(&original, &[others, of_graph(&original, |_| true)].concat(), &[]);
        let changed = load_bytes(name, &changed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(differences(&changed, &load(name).expect("a checkpoint")), [], "{name}");
        let note = notes(&changed);
        assert!(note.contains("the output is `") && note.contains("; left out: `"), "{name}: {note}");
    }
}

#[test]
fn of_two_outputs_the_one_behind_a_head_is_computed_and_two_heads_are_refused() {
    let original = bytes("bert");
    let nodes = fields(&original, &[7, 1]);
    let linear = |range: &std::ops::Range<usize>| {
        let of = |field| texts_of(&original, range.clone(), field);
        (of(4) == [b"Gemm"]).then(|| (of(1)[0], of(2)[0]))
    };
    let (pooled, logits) = nodes.iter().filter_map(linear).next_back().expect("a head");
    let with = |more: &[Vec<u8>]| {
        let graph = [of_graph(&original, |_| true), more.concat()].concat();
        load_bytes("bert", &with_graph(&original, &graph, &[]))
    };
    let vectors = [node("Identity", "", &[pooled], &[b"vectors"]), output(b"vectors")];
    let changed = with(&vectors).expect("a head beside vectors");
    assert_eq!(differences(&changed, &load("bert").expect("a checkpoint")), []);
    assert!(notes(&changed).contains("left out: `vectors`"), "{}", notes(&changed));
    let heads = [("Identity", &b"scores"[..]), ("Softmax", b"probabilities")];
    let heads = heads.map(|(op, name)| [node(op, "", &[logits], &[name]), output(name)].concat());
    let error = with(&heads).map(|_| ()).expect_err("two heads");
    assert!(error.contains("the outputs `") && error.contains("`scores`, `probabilities`"), "{error}");
    assert!(error.contains("onnx.utils.extract_model"), "{error}");
}

fn texts_of(file: &[u8], within: std::ops::Range<usize>, field: u64) -> Vec<&[u8]> {
    let of = records(file, within).into_iter().filter(|(own, ..)| *own == field);
    of.filter_map(|(.., payload)| payload).map(|range| &file[range]).collect()
}

#[test]
fn what_a_file_asks_for_beside_its_input_and_what_it_leaves_open_is_said() {
    for (name, expected) in [
        ("encoder_pre", &["computes one length alone", "max_seq is 8"][..]),
        ("optimum_bert", &["`attention_mask` is taken as a mask", "`token_type_ids` is taken as 0"]),
        (
            "optimum_gpt2",
            &[
                "`past_key_values.0.key`, `past_key_values.0.value` is taken as a cache without",
                "`position_ids` is taken as the positions",
                "left out: `present.0.key`, `present.0.value`",
            ],
        ),
    ] {
        let found = notes(&load(name).expect("a checkpoint"));
        expected.iter().for_each(|text| assert!(found.contains(text), "{name}: {found}"));
    }
    for name in ["encoder_dynamo", "keras_open", "keras_frames"] {
        let found = notes(&load(name).expect("a checkpoint"));
        assert!(!found.contains("one length alone"), "{name}: {found}");
    }
}

#[test]
fn tokens_and_positions_that_no_head_tells_apart_are_asked_for() {
    let mut changed = bytes("optimum_gpt2");
    // The head, which is the embedding no longer.
    let is_head = |tensor: &std::ops::Range<usize>| {
        let dims: Vec<u8> = records(&changed, tensor.clone())
            .into_iter()
            .filter(|(field, ..)| *field == 1)
            .map(|(_, record, _)| changed[record.end - 1])
            .collect();
        dims == [8, 24]
            && texts_of(&changed, fields(&changed, &[7, 1]).last().expect("nodes").clone(), 1)
                .iter()
                .any(|name| texts_of(&changed, tensor.clone(), 8) == [*name])
    };
    let head = fields(&changed, &[7, 5]).into_iter().rfind(is_head).expect("a head");
    let raw = records(&changed, head).into_iter().find(|(field, ..)| *field == 9).and_then(|(.., raw)| raw);
    changed[raw.expect("numbers").start + 2] ^= 1;
    let error = load_bytes("optimum_gpt2", &changed).map(|_| ()).expect_err("two inputs of tokens");
    assert!(error.contains("`input_ids` and `position_ids`") && error.contains("set_model_props"), "{error}");
    let said = |name: &[u8]| {
        let entry = record(14, &[record(1, b"tokens"), record(2, name)].concat());
        load_bytes("optimum_gpt2", &[&changed[..], &entry].concat())
    };
    let found = said(b"input_ids").expect("what the file says");
    assert_eq!(differences(&load("optimum_gpt2").expect("a checkpoint"), &found), []);
    assert!(found.tensors.get(Tensor::Head, 0).is_some(), "a head of its own");
    let error = said(b"hurz").map(|_| ()).expect_err("a name of no input");
    assert!(error.contains("the name of an input"), "{error}");
}

#[test]
fn padding_that_an_exporter_leaves_to_the_runtime_is_refused_where_a_window_needs_it() {
    let original = bytes("keywords_dynamo");
    let padded = |range: std::ops::Range<usize>, how: &[u8]| {
        let is_own = |(field, whole, payload): (u64, std::ops::Range<usize>, Option<std::ops::Range<usize>>)| {
            let other = payload.is_some_and(|range| field == 5 && texts_of(&original, range, 1) == [b"auto_pad"]);
            (!other).then(|| original[whole].to_vec())
        };
        let rest: Vec<u8> = records(&original, range).into_iter().filter_map(is_own).flatten().collect();
        record(1, &[rest, record(5, &[record(1, b"auto_pad"), record(4, how)].concat())].concat())
    };
    let with = |how: &[u8]| {
        let nodes =
            fields(&original, &[7, 1]).into_iter().flat_map(|range| match texts_of(&original, range.clone(), 4)[..] {
                [b"Conv"] => padded(range, how),
                _ => record(1, &original[range]),
            });
        let graph = [nodes.collect(), of_graph(&original, |field| field != 1)].concat();
        load_bytes("keywords_dynamo", &with_graph(&original, &graph, &[]))
            .map(|found| differences(&found, &load("keywords_dynamo").expect("a checkpoint")))
    };
    assert_eq!(with(b"VALID"), Ok(Vec::new()));
    let error = with(b"SAME_UPPER").expect_err("zeros at the edges");
    assert!(error.contains("padding (SAME)") && error.contains("train the network without padding"), "{error}");
}

#[test]
fn a_weight_that_is_an_input_instead_is_refused_and_taken_as_no_mask() {
    let (mut count, mut wrong) = (0, Vec::new());
    for name in ["keras_frames", "keras_decoder", "encoder_post", "bert_dynamo", "optimum_vit", "decoder"] {
        let original = bytes(name);
        for tensor in fields(&original, &[7, 5]) {
            let label = texts_of(&original, tensor.clone(), 8)[0];
            let numbers = |field: u64| -> Vec<u8> {
                let of = records(&original, tensor.clone()).into_iter().filter(|(own, ..)| *own == field);
                of.map(|(_, record, _)| original[record.end - 1]).collect()
            };
            // What hides and shows may as well be a mask.
            let raw = texts_of(&original, tensor.clone(), 9);
            let raw = raw.first().copied().unwrap_or_default().as_chunks::<4>().0;
            let hides = raw
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .all(|number| number < -1e8 || number == 0.0 || number == 1.0);
            if numbers(2) != [1] || hides || is_only_measured(&original, &String::from_utf8_lossy(label)) {
                continue;
            }
            let dims: Vec<u8> = numbers(1).into_iter().flat_map(|size| record(1, &[8, size])).collect();
            let kind = record(1, &[vec![8, 1], record(2, &dims)].concat());
            let input = record(11, &[record(1, label), record(2, &kind)].concat());
            let graph = records(&original, fields(&original, &[7]).remove(0)).into_iter();
            let kept = graph.filter(|(.., payload)| payload.as_ref() != Some(&tensor));
            let kept: Vec<u8> = kept.flat_map(|(_, record, _)| original[record].to_vec()).collect();
            count += 1;
            if let Ok(checkpoint) = load_bytes(name, &with_graph(&original, &[kept, input].concat(), &[])) {
                wrong.push(format!("{name}, {}: {}", String::from_utf8_lossy(label), notes(&checkpoint)));
            }
        }
    }
    assert!(wrong.is_empty() && count > 80, "{count} tensors, {wrong:#?}");
}

#[test]
fn rows_of_another_input_are_no_positions_where_the_network_has_its_own() {
    let original = bytes("gpt2");
    let embeds = |range: &std::ops::Range<usize>| texts_of(&original, range.clone(), 4) == [b"Gather"];
    let embedding = fields(&original, &[7, 1]).into_iter().find(embeds).expect("an embedding");
    let [table, tokens] = texts_of(&original, embedding.clone(), 1)[..] else { panic!("a table and tokens") };
    let rows = texts_of(&original, embedding.clone(), 2)[0];
    let graph = records(&original, fields(&original, &[7]).remove(0)).into_iter();
    let kept = graph.filter(|(.., payload)| payload.as_ref() != Some(&embedding));
    let kept: Vec<u8> = kept.flat_map(|(_, record, _)| original[record].to_vec()).collect();
    // The same input once more, by another name.
    let input = records(&original, fields(&original, &[7, 11]).remove(0)).into_iter();
    let input = input.filter(|(field, ..)| *field == 2).flat_map(|(_, record, _)| original[record].to_vec());
    let input = record(11, &[record(1, b"speakers"), input.collect()].concat());
    let nodes = [
        node("Gather", "", &[table, tokens], &[b"words"]),
        node("Gather", "", &[table, b"speakers"], &[b"more"]),
        node("Add", "", &[b"words", b"more"], &[rows]),
    ];
    let graph = [kept, input, nodes.concat()].concat();
    let error = load_bytes("gpt2", &with_graph(&original, &graph, &[])).map(|_| ()).expect_err("two inputs of rows");
    assert!(error.contains("beside positions of the network's own"), "{error}");
}

/// The file with other nodes in the place of those for which `change` has some.
fn with_nodes(file: &[u8], change: impl Fn(std::ops::Range<usize>) -> Option<Vec<u8>>, more: &[Vec<u8>; 2]) -> Vec<u8> {
    let nodes = fields(file, &[7, 1]).into_iter();
    let nodes = nodes.flat_map(|range| change(range.clone()).unwrap_or_else(|| record(1, &file[range])));
    let graph = [nodes.collect(), of_graph(file, |field| field != 1), more[0].clone()].concat();
    with_graph(file, &graph, &more[1])
}

#[test]
fn a_function_that_is_called_often_has_values_of_its_own_in_each_call() {
    for name in ["encoder_pre", "keras_frames", "optimum_bert"] {
        let original = bytes(name);
        let call = |range: std::ops::Range<usize>| {
            let of = |field| texts_of(&original, range.clone(), field);
            (of(4) == [b"MatMul"]).then(|| node("product", "own", &of(1), &of(2)))
        };
        let inner = [node("MatMul", "", &[b"a", b"b"], &[b"c"]), node("Identity", "", &[b"c"], &[b"d"])];
        let inner =
            inner.iter().flat_map(|node| record(7, &node[records(node, 0..node.len()).remove(0).2.expect("a node")]));
        let names = [record(1, b"product"), record(4, b"a"), record(4, b"b"), record(5, b"d"), record(10, b"own")];
        let function = record(25, &[names.concat(), inner.collect()].concat());
        let changed = with_nodes(&original, call, &[Vec::new(), function]);
        let changed = load_bytes(name, &changed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(differences(&changed, &load(name).expect("a checkpoint")), [], "{name}");
    }
}

#[test]
fn a_probability_that_is_hidden_behind_the_softmax_alone_is_refused() {
    let original = bytes("keras_decoder");
    let nodes = fields(&original, &[7, 1]);
    let of = |range: &std::ops::Range<usize>, field| texts_of(&original, range.clone(), field);
    let softmax = nodes.iter().find(|range| of(range, 4) == [b"Softmax"]).expect("a softmax");
    let probabilities = of(softmax, 2)[0];
    let mask = |hidden: usize| {
        let seen = |index: usize| if index % 8 > index / 8 || index == hidden { 0.0_f32 } else { 1.0 };
        let raw: Vec<u8> = (0..64).flat_map(|index| seen(index).to_le_bytes()).collect();
        let tensor = tensor(b"mask", 1, &[1, 1, 8, 8], &raw);
        let change = |range: std::ops::Range<usize>| {
            let hides = of(&range, 4) == [b"Mul"] && of(&range, 1).contains(&probabilities);
            hides.then(|| node("Mul", "", &[b"mask", probabilities], &of(&range, 2)))
        };
        load_bytes("keras_decoder", &with_nodes(&original, change, &[tensor, Vec::new()]))
    };
    // What the scores hide as well, changes nothing.
    let same = mask(7).expect("a mask that the scores have, too");
    assert_eq!(differences(&same, &load("keras_decoder").expect("a checkpoint")), []);
    let error = mask(8 * 5 + 2).map(|_| ()).expect_err("a probability of 0 that the softmax has given a share");
    assert!(error.contains("(MatMul)") || error.contains("a product of computed"), "{error}");
}

#[test]
fn token_ids_that_are_compared_with_another_number_than_the_smallest_are_refused() {
    let original = bytes("keras_tokens");
    let with = |limit: f32| {
        let tensor = tensor(b"limit", 1, &[], &limit.to_le_bytes());
        let change = |range: std::ops::Range<usize>| {
            let of = |field| texts_of(&original, range.clone(), field);
            (of(4) == [b"Less"]).then(|| node("Less", "", &[of(1)[0], b"limit"], &of(2)))
        };
        let changed = with_nodes(&original, change, &[tensor, Vec::new()]);
        assert_ne!(changed.len(), original.len(), "no comparison");
        load_bytes("keras_tokens", &changed)
            .map(|found| differences(&found, &load("keras_tokens").expect("a checkpoint")))
    };
    assert_eq!(with(-1.0), Ok(Vec::new()));
    let error = with(5.0).expect_err("small ids are others");
    assert!(error.contains("(Less): a function of token ids"), "{error}");
}

/// A tensor of float32, or of int64 where `kind` is 7.
fn tensor(name: &[u8], kind: u8, dims: &[u8], raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&size| [8, size]).collect();
    record(5, &[dims, vec![16, kind], record(8, name), record(9, raw)].concat())
}

#[test]
fn a_product_of_no_rows_is_refused() {
    for name in ["keras_frames", "decoder", "optimum_vit"] {
        let original = bytes(name);
        let numbers = [tensor(b"none", 7, &[1], &[0; 8]), tensor(b"rows", 7, &[1], &1_i64.to_le_bytes())].concat();
        let change = |range: std::ops::Range<usize>| {
            let of = |field| texts_of(&original, range.clone(), field);
            (of(4) == [b"MatMul"]).then(|| {
                let slice = [of(2)[0], b" empty"].concat();
                let rows = node("Slice", "", &[of(1)[0], b"none", b"none", b"rows"], &[&slice]);
                [rows, node("MatMul", "", &[&slice, of(1)[1]], &of(2))].concat()
            })
        };
        let error = load_bytes(name, &with_nodes(&original, change, &[numbers, Vec::new()])).map(|_| ());
        error.expect_err(name);
    }
}

#[test]
fn a_length_beyond_which_the_file_computes_something_else_is_said() {
    let mut changed = bytes("decoder");
    let named = |tensor: &std::ops::Range<usize>| texts_of(&changed, tensor.clone(), 8) == [b"cos"];
    let cosines = fields(&changed, &[7, 5]).into_iter().find(named).expect("a table of cosines");
    let raw = records(&changed, cosines).into_iter().find(|(field, ..)| *field == 9).and_then(|(.., raw)| raw);
    // The second pair at position 5.
    let place = raw.expect("numbers").start + 4 * (5 * 2 + 1);
    changed[place..place + 4].copy_from_slice(&2.0_f32.to_le_bytes());
    let found = load_bytes("decoder", &changed).expect("five positions");
    assert_eq!(found.config.max_seq, 5);
    assert!(
        notes(&found).contains("max_seq is 5: of a longer sequence the file computes something else"),
        "{}",
        notes(&found)
    );
    assert!(!notes(&load("decoder").expect("a checkpoint")).contains("something else"));
}
