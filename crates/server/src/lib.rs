//! Threads, sockets and configuration around the broker
