//! One leg's bytes: a socket, TLS where it is on, what came in and what is to go out.

use dbproxy_driver::{Buffer, Driver, Token};

use crate::tls::{Tls, TlsFault};

/// A leg that hands over more than this without being read is not read from any more.
pub const HIGH_WATER: usize = 64 * 1024;

/// One leg. It owns buffers only while bytes are pending.
pub struct Wire {
    /// The driver's name for the socket.
    pub token: Token,
    /// The peer said goodbye inside TLS.
    pub tls_closed: bool,
    tls: Option<Box<Tls>>,
    inbox: Option<Buffer>,
    outbox: Option<Buffer>,
    armed: bool,
}

impl Wire {
    /// A plain leg.
    pub fn new(token: Token) -> Self {
        Self {
            token,
            tls_closed: false,
            tls: None,
            inbox: None,
            outbox: None,
            armed: false,
        }
    }

    /// The same leg under the token that another driver gave its socket.
    #[must_use]
    pub fn moved_to(mut self, token: Token) -> Self {
        self.token = token;
        self.armed = false;
        self
    }

    /// From here on the bytes are TLS records.
    pub fn start_tls(&mut self, tls: Tls) {
        self.tls = Some(Box::new(tls));
    }

    /// The TLS, if it is on.
    pub fn tls(&self) -> Option<&Tls> {
        self.tls.as_deref()
    }

    /// Whether TLS is on.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Says whether to receive; tells the driver only of changes.
    pub fn arm<D: Driver>(&mut self, driver: &mut D, armed: bool) {
        if self.armed != armed {
            self.armed = armed;
            driver.arm(self.token, armed);
        }
    }

    /// Takes in what the driver received.
    pub fn receive<D: Driver>(&mut self, driver: &mut D, data: Buffer) -> Result<(), TlsFault> {
        if let Some(tls) = &mut self.tls {
            let mut plain = self.inbox.take().unwrap_or_else(|| driver.buffer());
            let outcome = tls.open(data.as_slice(), plain.vec_mut());
            driver.recycle(data);
            if plain.is_empty() {
                driver.recycle(plain);
            } else {
                self.inbox = Some(plain);
            }
            // A handshake answers by itself, a fault by an alert.
            let mut records = driver.buffer();
            let sealed = tls.seal(&[], records.vec_mut());
            send_or_recycle(driver, self.token, records);
            self.tls_closed |= outcome?;
            return sealed;
        }
        match &mut self.inbox {
            Some(inbox) => {
                inbox.extend(data.as_slice());
                driver.recycle(data);
            }
            None => self.inbox = Some(data),
        }
        Ok(())
    }

    /// What came in and was not consumed yet.
    pub fn input(&self) -> &[u8] {
        self.inbox.as_ref().map_or(&[], Buffer::as_slice)
    }

    /// Takes out what came in and was not consumed yet.
    pub fn take_input(&mut self) -> Option<Buffer> {
        self.inbox.take()
    }

    /// Marks the first `n` bytes of the input as done with.
    pub fn consume<D: Driver>(&mut self, driver: &mut D, n: usize) {
        if let Some(mut inbox) = self.inbox.take() {
            inbox.consume(n);
            if inbox.is_empty() {
                driver.recycle(inbox);
            } else {
                self.inbox = Some(inbox);
            }
        }
    }

    /// Appends to what goes out at the next flush.
    pub fn push<D: Driver>(&mut self, driver: &mut D, bytes: &[u8]) {
        self.outbox
            .get_or_insert_with(|| driver.buffer())
            .extend(bytes);
    }

    /// Moves the whole input to another leg's outbox; without copying where that is possible.
    pub fn pass_all<D: Driver>(&mut self, driver: &mut D, to: &mut Wire) {
        let Some(inbox) = self.inbox.take() else {
            return;
        };
        if to.outbox.is_none() {
            to.outbox = Some(inbox);
        } else {
            to.push(driver, inbox.as_slice());
            driver.recycle(inbox);
        }
    }

    /// Sends what was pushed, in one write. Returns how many bytes the socket has queued.
    pub fn flush<D: Driver>(&mut self, driver: &mut D) -> Result<usize, TlsFault> {
        let Some(outbox) = self.outbox.take() else {
            return Ok(driver.queued(self.token));
        };
        let Some(tls) = &mut self.tls else {
            return Ok(send_or_recycle(driver, self.token, outbox));
        };
        let mut records = driver.buffer();
        let sealed = tls.seal(outbox.as_slice(), records.vec_mut());
        driver.recycle(outbox);
        let queued = send_or_recycle(driver, self.token, records);
        sealed.map(|()| queued)
    }

    /// Sends what was pushed, says goodbye and closes the sending side.
    pub fn finish<D: Driver>(&mut self, driver: &mut D) {
        // A leg that can't be sealed any more is closed all the same.
        let flushed = self.flush(driver).is_ok();
        if let (Some(tls), true) = (&mut self.tls, flushed) {
            tls.say_goodbye();
            let mut records = driver.buffer();
            if tls.seal(&[], records.vec_mut()).is_ok() {
                send_or_recycle(driver, self.token, records);
            }
        }
        driver.finish(self.token);
    }

    /// Begins the handshake (a client's first flight).
    pub fn kick<D: Driver>(&mut self, driver: &mut D) -> Result<(), TlsFault> {
        self.outbox.get_or_insert_with(|| driver.buffer());
        self.flush(driver).map(|_| ())
    }

    /// Gives its buffers back; the leg is over.
    pub fn discard<D: Driver>(mut self, driver: &mut D) {
        for buffer in [self.inbox.take(), self.outbox.take()]
            .into_iter()
            .flatten()
        {
            driver.recycle(buffer);
        }
    }
}

fn send_or_recycle<D: Driver>(driver: &mut D, token: Token, buffer: Buffer) -> usize {
    if buffer.is_empty() {
        driver.recycle(buffer);
        return driver.queued(token);
    }
    driver.send(token, buffer)
}
