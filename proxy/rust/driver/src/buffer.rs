//! Buffers that are borrowed only while bytes are pending.

/// How many bytes one receive takes at most.
pub const BUFFER_SIZE: usize = 16 * 1024;

/// Buffers that one pool keeps for reuse at most; the rest go back to the allocator. At least as
/// many as one wait of a driver may hand out, or a busy thread would ask the allocator each time.
pub const KEPT_BUFFERS: usize = 192;

/// Bytes with a read position: consuming from the front moves no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// Takes over bytes that somebody made.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }

    /// The bytes not consumed yet.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    /// How many bytes are not consumed yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Nothing left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it takes.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many bytes can be appended without growing.
    pub fn room(&self) -> usize {
        self.bytes.capacity() - self.len()
    }

    /// Drops up to `n` bytes from the front.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.bytes.len());
    }

    /// Drops everything after the first `n` bytes not consumed yet.
    pub fn truncate(&mut self, n: usize) {
        self.bytes.truncate(self.start.saturating_add(n));
    }

    /// Appends; forgets consumed bytes first when that saves growing.
    pub fn extend(&mut self, more: &[u8]) {
        if self.start > 0 && self.bytes.len() + more.len() > self.bytes.capacity() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// The vector behind it, for drivers that receive into it; consumed bytes are forgotten.
    pub fn vec_mut(&mut self) -> &mut Vec<u8> {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        &mut self.bytes
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

/// One thread's spare buffers, last in first out, so that the warm one goes next.
#[derive(Debug, Default)]
pub struct BufferPool {
    spare: Vec<Buffer>,
}

impl BufferPool {
    /// An empty buffer of [`BUFFER_SIZE`] capacity or more.
    pub fn take(&mut self) -> Buffer {
        self.spare
            .pop()
            .unwrap_or_else(|| Buffer::from_vec(Vec::with_capacity(BUFFER_SIZE)))
    }

    /// Takes a buffer back; odd sizes and surplus ones are freed.
    pub fn give(&mut self, mut buffer: Buffer) {
        let capacity = buffer.bytes.capacity();
        if self.spare.len() < KEPT_BUFFERS && (BUFFER_SIZE..=2 * BUFFER_SIZE).contains(&capacity) {
            buffer.clear();
            self.spare.push(buffer);
        }
    }
}
