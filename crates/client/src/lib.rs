//! An MQTT client library with reconnection that can be trusted
