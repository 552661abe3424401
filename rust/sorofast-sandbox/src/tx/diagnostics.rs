//! Diagnostic events that say in words why a transaction was refused or failed.

use stellar_xdr::{
    ContractEvent, ContractEventBody, ContractEventType, ContractEventV0, DiagnosticEvent,
    ExtensionPoint, Limits, ScError, ScErrorCode, ScString, ScSymbol, ScVal, ScVec, StringM, VecM,
    WriteXdr,
};

/// Collects diagnostics as XDR.
#[derive(Debug, Default)]
pub struct Diagnostics {
    pub events_xdr: Vec<Vec<u8>>,
}

impl Diagnostics {
    /// Adds an error with its message and the values that it is about.
    pub fn error(&mut self, error: ScError, message: &str, values: &[u64]) {
        let values = values.iter().map(|value| ScVal::U64(*value)).collect();
        self.error_about(error, message, values);
    }

    /// The same with values of any kind.
    pub fn error_about(&mut self, error: ScError, message: &str, values: Vec<ScVal>) {
        let text = ScVal::String(ScString(
            StringM::try_from(message.as_bytes().to_vec()).unwrap_or_default(),
        ));
        let data = if values.is_empty() {
            text
        } else {
            let mut items = vec![text];
            items.extend(values);
            ScVal::Vec(Some(ScVec(items.try_into().unwrap_or_default())))
        };
        self.push(vec![symbol("error"), ScVal::Error(error)], data);
    }

    /// What the host itself ended with.
    pub fn host_failure(&mut self, error: ScError) {
        self.push(
            vec![symbol("host_fn_failed"), ScVal::Error(error)],
            ScVal::Void,
        );
    }

    /// A plain refusal.
    pub fn refusal(&mut self, message: &str) {
        self.error(ScError::Value(ScErrorCode::InvalidInput), message, &[]);
    }

    fn push(&mut self, topics: Vec<ScVal>, data: ScVal) {
        let event = DiagnosticEvent {
            in_successful_contract_call: false,
            event: ContractEvent {
                ext: ExtensionPoint::V0,
                contract_id: None,
                type_: ContractEventType::Diagnostic,
                body: ContractEventBody::V0(ContractEventV0 {
                    topics: VecM::try_from(topics).unwrap_or_default(),
                    data,
                }),
            },
        };
        if let Ok(xdr) = event.to_xdr(Limits::none()) {
            self.events_xdr.push(xdr);
        }
    }
}

fn symbol(name: &str) -> ScVal {
    ScVal::Symbol(ScSymbol(
        StringM::try_from(name.as_bytes().to_vec()).unwrap_or_default(),
    ))
}
