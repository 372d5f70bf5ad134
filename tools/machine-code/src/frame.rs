//! Frame of one function: its depth, and the depth at each of its calls, along every path of its code.
//!
//! ```text
//! first instruction: depth 0 ──► push {r4, lr}: 8 ──► sub sp, #40: 48 ──► bl f: a call at 48 ──► add sp, #40: 8 ──► pop {r4, pc}: a return
//! ```

use crate::branch::target;
use crate::program::Program;
use crate::registers::{LR, Registers, SP, Value};
use crate::thumb::Instruction;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use thumbformer_cycles::decode::{Class, Op};

/// A call, or a jump to another function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Call {
    /// Address of the instruction.
    pub from: u64,
    /// Address that is called; `None` for one that is only known when the program runs.
    pub to: Option<u64>,
    /// Bytes of the caller's stack that are in use.
    pub depth: u64,
}

/// Use of the stack by a function.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Most bytes that it has in use itself.
    pub depth: u64,
    /// Its calls.
    pub calls: Vec<Call>,
    /// True if it returns.
    pub returns: bool,
}

/// Ways on from an instruction.
enum Next {
    /// The next instruction.
    On,
    /// The next one, or another of the function.
    Either(u64),
    /// Another one of the function.
    Jump(u64),
    /// Call of a function.
    Call(Option<u64>),
    /// Jump to a function, which returns in this one's place.
    Tail(Option<u64>),
    /// One of a table.
    Table,
    /// Return.
    Return,
    /// None, as after `udf`.
    Ends,
}

/// Most times that one instruction is followed: more, and the stack grows in a loop.
const MOST_VISITS: usize = 64;

/// Follows a function's code; `returns` tells it of a function that it calls.
///
/// # Errors
/// An instruction that sets the stack pointer in an unknown way, or a loop in which the stack grows.
pub fn frame(program: &Program<'_>, start: u64, returns: &mut dyn FnMut(u64) -> Result<bool>) -> Result<Frame> {
    let end = program.functions.get(&start).map_or(start, |function| function.end);
    let code: BTreeMap<u64, Instruction> = program.code(start)?.into_iter().map(|code| (code.address, code)).collect();
    let conditional = conditional(&code);
    let (mut states, mut visits) = (BTreeMap::<u64, Registers>::new(), BTreeMap::<u64, usize>::new());
    let mut frame = Frame::default();
    let mut calls = BTreeMap::<(u64, Option<u64>), u64>::new();
    let mut of_tables: Option<Registers> = None;
    let mut open = vec![(start, Registers::at_entry())];
    loop {
        let Some((address, state)) = open.pop() else {
            // Code that only a table leads to.
            let unseen = code.keys().find(|address| !states.contains_key(address));
            let (Some(&address), Some(state)) = (unseen, of_tables) else { break };
            open.push((address, state));
            continue;
        };
        let place = || format!("{address:#x} in {}", program.name(start));
        let Some(instruction) = code.get(&address) else {
            // What fills up the space before a table is not executed.
            if of_tables.is_some() {
                continue;
            }
            bail!("{}: the code goes on where there is none", place());
        };
        let before = states.get(&address).map_or(state, |seen| seen.or(state));
        if states.insert(address, before) == Some(before) {
            continue;
        }
        let visits = visits.entry(address).or_default();
        *visits += 1;
        if *visits > MOST_VISITS {
            bail!("{}: the stack grows in a loop", place());
        }
        let op = decoded(instruction);
        let after = before.after(instruction, &op, |address| program.word(address));
        let after = after.map_err(|error| anyhow::anyhow!("{}: {error}", place()))?;
        let depth = |state: &Registers| state.depth().unwrap_or_default().max(0).cast_unsigned();
        frame.depth = frame.depth.max(depth(&before)).max(depth(&after));
        let following = address + if instruction.second.is_some() { 4 } else { 2 };
        let is_conditional = conditional.contains_key(&address);
        let joined = if is_conditional { after.or(before) } else { after };
        let mut on = false;
        match next(instruction, &op, &before, start..end) {
            Next::On => on = true,
            Next::Either(to) => {
                on = true;
                open.push((to, joined));
            }
            Next::Jump(to) => open.push((to, joined)),
            Next::Call(to) => {
                calls
                    .entry((address, to))
                    .and_modify(|most| *most = depth(&before).max(*most))
                    .or_insert(depth(&before));
                if to.is_none_or(|to| returns(to).unwrap_or(true)) {
                    open.push((following, joined.called()));
                }
            }
            Next::Tail(to) => {
                calls
                    .entry((address, to))
                    .and_modify(|most| *most = depth(&before).max(*most))
                    .or_insert(depth(&before));
                frame.returns |= to.is_none_or(|to| returns(to).unwrap_or(true));
                on = matches!(op.class, Class::BranchConditional | Class::CompareBranch);
            }
            Next::Table => of_tables = Some(of_tables.map_or(joined, |state: Registers| state.or(joined))),
            Next::Return => frame.returns = true,
            Next::Ends => {}
        }
        if on || is_conditional {
            open.push((following, joined));
        }
    }
    frame.calls = calls.into_iter().map(|((from, to), depth)| Call { from, to, depth }).collect();
    Ok(frame)
}

fn decoded(code: &Instruction) -> Op {
    match code.second {
        None => Op::decode(code.first, 2),
        Some(second) => Op::decode(code.first << 16 | second, 4),
    }
}

/// Instructions that an IT makes conditional.
fn conditional(code: &BTreeMap<u64, Instruction>) -> BTreeMap<u64, ()> {
    let (mut found, mut left) = (BTreeMap::new(), 0);
    for (&address, code) in code {
        if left > 0 {
            left -= 1;
            found.insert(address, ());
        } else if code.second.is_none() && code.first >> 8 == 0xbf && code.first & 15 != 0 {
            left = 4 - code.first.trailing_zeros();
        }
    }
    found
}

/// The ways on from an instruction.
fn next(code: &Instruction, op: &Op, before: &Registers, function: std::ops::Range<u64>) -> Next {
    let known = |register: u32| match before.0[register as usize & 15] {
        Value::Constant(address) => Some(u64::from(address & !1)),
        _ => None,
    };
    // The register of BX, BLX and MOV to the program counter.
    let register = code.first >> 3 & 15;
    let is_return = register as usize == LR || before.0[register as usize] == Value::Return;
    let to = target(code);
    let is_inside = to.is_some_and(|to| function.contains(&to));
    match (op.class, to) {
        // A jump too far for B, on Armv6-M.
        (Class::BranchLink, Some(to)) if is_inside && to != function.start => Next::Jump(to),
        (Class::BranchLink, to) => Next::Call(to),
        (Class::Branch, Some(to)) if is_inside => Next::Jump(to),
        (Class::Branch, to) => Next::Tail(to),
        (Class::BranchConditional | Class::CompareBranch | Class::LoopEnd | Class::LoopStart, Some(to)) => {
            if is_inside { Next::Either(to) } else { Next::Tail(Some(to)) }
        }
        (Class::BranchLinkRegister, _) => Next::Call(known(register)),
        (Class::BranchRegister, _) if is_return => Next::Return,
        (Class::BranchRegister, _) => Next::Tail(known(register)),
        (Class::MoveToPc, _) if is_return && code.first & 0xff00 == 0x4600 => Next::Return,
        (Class::MoveToPc | Class::TableBranch, _) => Next::Table,
        (Class::PopPc, _) => Next::Return,
        (Class::LoadPc, _) if op.base >> SP & 1 == 1 => Next::Return,
        (Class::LoadPc, _) => Next::Tail(None),
        // UDF, of 16 and of 32 bits.
        (Class::Exception, _) if code.first >> 8 == 0xde || code.first & 0xfff0 == 0xf7f0 => Next::Ends,
        _ => Next::On,
    }
}
