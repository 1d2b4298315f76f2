//! The only way to look at bytes from the network: every read is checked.

/// There are fewer bytes than the read asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Short;

/// A cursor over untrusted bytes whose reads answer [`Short`] instead of panicking.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// How many bytes are left.
    pub fn len(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Short> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Short)?;
        self.rest = tail;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Short> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A big-endian 16-bit number.
    pub fn u16(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_be_bytes)
    }

    /// A big-endian 32-bit number.
    pub fn u32(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_be_bytes)
    }

    /// A little-endian 16-bit number.
    pub fn u16_le(&mut self) -> Result<u16, Short> {
        self.array().map(u16::from_le_bytes)
    }

    /// A little-endian 24-bit number.
    pub fn u24_le(&mut self) -> Result<u32, Short> {
        let [low, middle, high] = self.array()?;
        Ok(u32::from_le_bytes([low, middle, high, 0]))
    }

    /// A little-endian 32-bit number.
    pub fn u32_le(&mut self) -> Result<u32, Short> {
        self.array().map(u32::from_le_bytes)
    }

    /// A little-endian 64-bit number.
    pub fn u64_le(&mut self) -> Result<u64, Short> {
        self.array().map(u64::from_le_bytes)
    }

    /// The bytes up to the next NUL, which is consumed and left out.
    pub fn cstr(&mut self) -> Result<&'a [u8], Short> {
        let end = self.rest.iter().position(|b| *b == 0).ok_or(Short)?;
        let text = self.take(end)?;
        self.take(1)?;
        Ok(text)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        self.take(N)?.try_into().map_err(|_| Short)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_order_and_refuses_to_run_over() {
        let mut reader = Reader::new(b"Q\0\0\0\x05ab\0c");
        assert_eq!(reader.u8(), Ok(b'Q'));
        assert_eq!(reader.u32(), Ok(5));
        assert_eq!(reader.cstr(), Ok(&b"ab"[..]));
        assert_eq!(reader.u16(), Err(Short));
        assert_eq!(reader.cstr(), Err(Short));
        assert_eq!(reader.rest(), b"c");
        assert_eq!(reader.len(), 1);
        assert!(!reader.is_empty());
    }

    #[test]
    fn reads_the_low_byte_first_where_asked_to() {
        let mut reader = Reader::new(b"\x01\x02\x01\x02\x03\x01\0\0\x80\x02\0\0\0\0\0\0\x80\x07");
        assert_eq!(reader.u16_le(), Ok(0x0201));
        assert_eq!(reader.u24_le(), Ok(0x03_0201));
        assert_eq!(reader.u32_le(), Ok(0x8000_0001));
        assert_eq!(reader.u64_le(), Ok(0x8000_0000_0000_0002));
        assert_eq!(reader.u16_le(), Err(Short));
        assert_eq!(reader.u24_le(), Err(Short));
        assert_eq!(reader.u32_le(), Err(Short));
        assert_eq!(reader.u64_le(), Err(Short));
        assert_eq!(reader.rest(), b"\x07");
    }
}
