//! Workers, clients, backends and the pool.
