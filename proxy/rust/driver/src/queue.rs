//! What a socket still has to send, counted by the memory that it takes. Every driver keeps one per
//! connection that its peer doesn't read from fast enough.

use std::collections::VecDeque;

use crate::{Buffer, BufferPool, BUFFER_SIZE};

/// Buffers in order. Small ones are copied into the room that the last one has left: a peer that
/// doesn't read thousands of small messages costs little more than their bytes.
#[derive(Debug, Default)]
pub struct SendQueue {
    buffers: VecDeque<Buffer>,
    held: usize,
}

impl SendQueue {
    /// Nothing is left to send.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Bytes of memory that it takes; 0 if nothing is left to send.
    pub fn held(&self) -> usize {
        self.held
    }

    /// What is left to send, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Buffer> {
        self.buffers.iter()
    }

    /// Appends; an empty buffer adds nothing.
    pub fn push(&mut self, data: Buffer, pool: &mut BufferPool) {
        let fits = |last: &&mut Buffer| last.room() >= data.len();
        if data.is_empty() {
            pool.give(data);
        } else if let Some(last) = self.buffers.back_mut().filter(fits) {
            last.extend(data.as_slice());
            pool.give(data);
        } else {
            let data = fitted(data);
            self.held += data.capacity();
            self.buffers.push_back(data);
        }
    }

    /// Takes the first `sent` bytes off.
    pub fn consume(&mut self, mut sent: usize, pool: &mut BufferPool) {
        while let Some(front) = self.buffers.front_mut() {
            let taken = sent.min(front.len());
            front.consume(taken);
            sent -= taken;
            if !front.is_empty() {
                return;
            }
            self.held -= front.capacity();
            if let Some(done) = self.buffers.pop_front() {
                pool.give(done);
            }
        }
        // Back-pressure is rare: an idle connection owns no queue.
        self.buffers = VecDeque::new();
    }

    /// Forgets everything.
    pub fn clear(&mut self, pool: &mut BufferPool) {
        self.held = 0;
        for buffer in std::mem::take(&mut self.buffers) {
            pool.give(buffer);
        }
    }
}

/// A buffer that once held much and now holds little doesn't keep its memory while it waits.
fn fitted(data: Buffer) -> Buffer {
    if data.capacity() > 2 * BUFFER_SIZE && data.room() > BUFFER_SIZE {
        Buffer::from_vec(data.as_slice().to_vec())
    } else {
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(pool: &mut BufferPool, bytes: &[u8]) -> Buffer {
        let mut buffer = pool.take();
        buffer.extend(bytes);
        buffer
    }

    fn content(queue: &SendQueue) -> Vec<u8> {
        queue.iter().flat_map(Buffer::as_slice).copied().collect()
    }

    #[test]
    fn many_small_pieces_hold_little_more_than_their_bytes() {
        let (mut queue, mut pool) = (SendQueue::default(), BufferPool::default());
        let mut bytes = Vec::new();
        for number in 0..2000_u32 {
            let text = format!("notification {number:>36}\n");
            bytes.extend_from_slice(text.as_bytes());
            let data = piece(&mut pool, text.as_bytes());
            queue.push(data, &mut pool);
        }
        assert!(content(&queue) == bytes, "bytes were mixed up");
        assert!(queue.held() >= bytes.len());
        assert!(queue.held() <= bytes.len() + 2 * BUFFER_SIZE);
    }

    #[test]
    fn what_is_held_falls_as_bytes_leave_and_ends_at_nothing() {
        let (mut queue, mut pool) = (SendQueue::default(), BufferPool::default());
        for _ in 0..3 {
            let data = piece(&mut pool, &[b'x'; BUFFER_SIZE]);
            queue.push(data, &mut pool);
        }
        assert_eq!(queue.held(), 3 * BUFFER_SIZE);
        queue.consume(BUFFER_SIZE + 1, &mut pool);
        assert_eq!(queue.held(), 2 * BUFFER_SIZE);
        assert_eq!(content(&queue).len(), 2 * BUFFER_SIZE - 1);
        queue.consume(2 * BUFFER_SIZE - 1, &mut pool);
        assert_eq!(queue.held(), 0);
        assert!(queue.is_empty());
    }

    #[test]
    fn the_rest_of_a_large_buffer_keeps_none_of_its_memory() {
        let (mut queue, mut pool) = (SendQueue::default(), BufferPool::default());
        let mut large = Buffer::from_vec(vec![b'x'; 20 * BUFFER_SIZE]);
        large.consume(20 * BUFFER_SIZE - 3);
        queue.push(large, &mut pool);
        assert_eq!(content(&queue), b"xxx");
        assert!(queue.held() < BUFFER_SIZE);
    }

    #[test]
    fn a_cleared_queue_takes_no_memory() {
        let (mut queue, mut pool) = (SendQueue::default(), BufferPool::default());
        let data = piece(&mut pool, b"gone");
        queue.push(data, &mut pool);
        queue.clear(&mut pool);
        assert_eq!(queue.held(), 0);
        assert!(queue.is_empty());
    }
}
