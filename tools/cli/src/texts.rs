//! Begin and end of texts, in one line: `begins with <s> (1), ends at </s> (2)`.

use serde::Serialize;
use std::fmt;
use thumbformer::Model;

/// Tokens around the texts of a model.
#[derive(Clone, Debug, Serialize)]
pub struct Texts {
    /// Token that encoding puts before a text.
    pub begin: Option<Token>,
    /// Tokens at which a generated text ends.
    pub ends: Vec<Token>,
}

/// A token, with its name if it is known.
#[derive(Clone, Debug, Serialize)]
pub struct Token {
    /// The token.
    pub id: u16,
    /// Its name, or its text in quotation marks.
    pub name: Option<String>,
}

impl Texts {
    /// The tokens around texts, if the model has a tokenizer.
    pub fn of(model: &Model<'_>) -> Option<Texts> {
        let tokenizer = model.tokenizer()?;
        let bos = tokenizer.bos();
        // The text of a token as it is in the middle of a text.
        let previous = u16::from(bos == Some(0));
        let text = |id: u16| Some(tokenizer.piece(previous, id)).filter(|piece| !piece.is_empty());
        let quoted = |id: u16| text(id).map(|piece| format!("{:?}", String::from_utf8_lossy(piece)));
        let token = |id: u16| Token { id, name: tokenizer.name(id).map(String::from).or_else(|| quoted(id)) };
        Some(Texts { begin: bos.map(token), ends: tokenizer.ends().map(token).collect() })
    }
}

impl fmt::Display for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.begin {
            Some(token) => write!(f, "begins with {token}")?,
            None => f.write_str("begins with its first token")?,
        }
        let ends: Vec<String> = self.ends.iter().map(Token::to_string).collect();
        match ends.is_empty() {
            false => write!(f, ", ends at {}", ends.join(" or ")),
            true => f.write_str(", has no end token"),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.id),
            None => write!(f, "token {}", self.id),
        }
    }
}
