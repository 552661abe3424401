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
        b"error" => {
            if !scanner.null()? {
                failure = Some(read_error(scanner)?);
            }
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

/// Reads the error of an answer. What stands there in place of one is quoted: it is all the node said.
fn read_error(scanner: &mut Scanner<'_>) -> Result<BodyError, BodyError> {
    if scanner.peek()? != b'{' {
        let start = scanner.position();
        let said = cut(scanner.raw()?);
        return Ok(BodyError::at(
            start,
            format!("the answer's error is no JSON-RPC error: {said}"),
        ));
    }
    let mut code = 0;
    let mut message = String::new();
    scanner.object(|scanner, key| {
        match key {
            b"code" => code = scanner.i64()?,
            b"message" if scanner.peek()? == b'"' => message = cut(&scanner.text()?.to_text()),
            b"message" => message = cut(scanner.raw()?),
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    Ok(BodyError::Rpc { code, message })
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE_LONGEST).collect()
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
        for (said, found) in [
            ("\"queue full\"", "\"queue full\""),
            ("-5", "-5"),
            ("[ 1, {}]", "[ 1, {}]"),
            ("true", "true"),
        ] {
            let body = format!("{{\"error\": {said},\"result\":{{}}}}");
            let error = read_answer(body.as_bytes(), |scanner, _| scanner.skip()).unwrap_err();
            let BodyError::Malformed { offset: 10, reason } = error else {
                panic!("{error:?}")
            };
            assert_eq!(
                reason,
                format!("the answer's error is no JSON-RPC error: {found}")
            );
        }
        let strange = br#"{"error":{"code":7,"message":{"a":[1]}}}"#;
        let error = read_answer(strange, |scanner, _| scanner.skip()).unwrap_err();
        assert_eq!(
            error,
            BodyError::Rpc {
                code: 7,
                message: "{\"a\":[1]}".into()
            }
        );
        assert!(
            read_answer(b"{\"error\":null,\"result\":{}}", |scanner, _| scanner
                .skip())
            .is_ok()
        );
        let error = read_answer(b" {\"result\" : null}", |scanner, _| scanner.skip()).unwrap_err();
        assert!(matches!(error, BodyError::Malformed { offset: 0, .. }));
    }
}
