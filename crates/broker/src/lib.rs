//! The MQTT Server as a pure machine: inputs in, an outbox out
