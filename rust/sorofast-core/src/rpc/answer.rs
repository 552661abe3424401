//! The envelope of a JSON-RPC answer: a result, an error, or something that is neither.

use super::error::BodyError;
use super::scan::Scanner;

const MESSAGE_LONGEST: usize = 400;

/// Reads a JSON-RPC answer: `member` sees the members of its result.
pub fn read_answer(
    body: &[u8],
    mut member: impl FnMut(&mut Scanner<'_>, &[u8]) -> Result<(), BodyError>,
) -> Result<(), BodyError> {
    let mut scanner = Scanner::new(body)?;
    let mut has_result = false;
    let mut failure = None;
    scanner.object(|scanner, key| match key {
        b"result" if scanner.peek()? == b'{' => {
            has_result = true;
            scanner.object(&mut member)
        }
        b"error" if scanner.peek()? == b'{' => {
            failure = Some(read_error(scanner)?);
            Ok(())
        }
        _ => scanner.skip(),
    })?;
    scanner.finish()?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if has_result {
        return Ok(());
    }
    Err(BodyError::at(
        0,
        "the answer has neither a result object nor an error",
    ))
}

fn read_error(scanner: &mut Scanner<'_>) -> Result<BodyError, BodyError> {
    let mut code = 0;
    let mut message = String::new();
    scanner.object(|scanner, key| {
        match key {
            b"code" => code = scanner.i64()?,
            b"message" => {
                message = scanner
                    .text()?
                    .to_text()
                    .chars()
                    .take(MESSAGE_LONGEST)
                    .collect();
            }
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    Ok(BodyError::Rpc { code, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_wins_over_a_result() {
        let body = br#"{"id":1,"error":{"code":-32602,"message":"no \"such\" key","data":[1]},"result":{}}"#;
        let error = read_answer(body, |scanner, _| scanner.skip()).unwrap_err();
        assert_eq!(
            error,
            BodyError::Rpc {
                code: -32602,
                message: "no \"such\" key".into()
            }
        );
        let error = read_answer(b" {\"result\" : null}", |scanner, _| scanner.skip()).unwrap_err();
        assert!(matches!(error, BodyError::Malformed { offset: 0, .. }));
    }
}
