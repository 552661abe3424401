//! Values that are sent on: where their numbers are, and that they nest no deeper than a decoder follows.

use super::reader::{Reader, XdrError};
use super::scval::{step, Step};

/// Levels that decoders of XDR go down before they refuse, counted as they count: an envelope's operations lie at the
/// seventh, and a vector takes four.
pub const XDR_LEVELS_MOST: usize = 500;
/// Levels a value may take of these. The rest is for what stands around it in an envelope, down to an authorisation
/// some calls below the first.
pub const VALUE_LEVELS_MOST: usize = 450;

/// Reads one value and finds every unsigned 64-bit integer in it: its offset, and what it says. Refuses a value that
/// takes more than [`VALUE_LEVELS_MOST`] levels.
pub fn find_numbers(reader: &mut Reader<'_>) -> Result<Vec<(usize, u64)>, XdrError> {
    let mut numbers = Vec::new();
    // Values left at each nesting, and the levels it took; bounded by the levels.
    let mut open = vec![(1, 0)];
    let mut used = 0;
    while let Some((left, took)) = open.last_mut() {
        if *left == 0 {
            used -= *took;
            open.pop();
            continue;
        }
        *left -= 1;
        let offset = reader.position();
        match step(reader)? {
            Step::Leaf => {}
            Step::U64(at, value) => numbers.push((at, value)),
            Step::Inside(values, deeper) => {
                used += deeper;
                if used > VALUE_LEVELS_MOST {
                    return Err(XdrError::new(
                        offset,
                        format!(
                            "nested too deeply; XDR allows {XDR_LEVELS_MOST} levels, of which a vector takes four"
                        ),
                    ));
                }
                open.push((values, deeper));
            }
        }
    }
    Ok(numbers)
}
