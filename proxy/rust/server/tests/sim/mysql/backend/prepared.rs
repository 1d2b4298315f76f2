//! Prepared statements of the model MySQL: one parameter, a text. It is asked for its type at its first execution,
//! and remembers that.

use super::{wire, Around, End, Session, COLUMNS};
use crate::witness::{token_in, Witness};

/// How the types of parameters are said: one, a text.
const TEXT_PARAMETER: [u8; 2] = [0xfd, 0];

#[derive(Debug)]
pub(super) struct Statement {
    text: String,
    /// The type of its parameter is known.
    typed: bool,
}

impl Session {
    /// What a text can't begin with isn't prepared.
    pub(super) fn prepare(&mut self, text: &str, witness: &mut Witness) {
        if text.contains("nowhere") {
            let text = "db: Table 'nowhere' doesn't exist";
            return self.end(End::Failed(1146, "42S02", text), witness);
        }
        self.last_statement += 1;
        let number = self.last_statement;
        let reads = text.starts_with("SELECT");
        let columns = if reads { COLUMNS.len() } else { 0 };
        let statement = Statement {
            text: text.into(),
            typed: false,
        };
        self.prepared.insert(number, statement);
        let mut head = vec![wire::OK];
        head.extend(number.to_le_bytes());
        head.extend((columns as u16).to_le_bytes());
        head.extend([1, 0, 0, 0, 0]);
        self.say(head);
        let keeps_eof = self.agreed & wire::DEPRECATE_EOF == 0;
        let eof = wire::eof(self.status());
        self.say(wire::column("?"));
        if keeps_eof {
            self.say(eof.clone());
        }
        if reads {
            COLUMNS.iter().for_each(|name| self.say(wire::column(name)));
            if keeps_eof {
                self.say(eof);
            }
        }
    }

    pub(super) fn execute(&mut self, body: &[u8], around: &mut Around<'_>) {
        let mut cursor = wire::Cursor(body);
        let number = cursor.long();
        cursor.take(5);
        let nulls = cursor.byte();
        let says_types = cursor.byte() == 1;
        let types = cursor.take(if says_types { 2 } else { 0 });
        let value = String::from_utf8_lossy(cursor.text()).into_owned();
        let Some(statement) = self.prepared.get_mut(&number) else {
            let text = "db: Unknown prepared statement handler";
            return self.end(End::Failed(1243, "HY000", text), around.witness);
        };
        statement.typed |= types == TEXT_PARAMETER;
        if !statement.typed || nulls != 0 || token_in(&value).is_none() {
            let text = format!("{} can't read the parameters {body:?}", self.name);
            return around.witness.violation(text);
        }
        let sql = statement.text.replace('?', &format!("'{value}'"));
        self.binary = true;
        self.arrived(&value, around.witness);
        let end = self.run(&sql, around);
        self.end(end, around.witness);
    }

    pub(super) fn close_statement(&mut self, body: &[u8]) {
        let number = wire::Cursor(body).long();
        self.prepared.remove(&number);
    }
}
