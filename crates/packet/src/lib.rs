//! Bytes to MQTT Control Packets and back, for versions 3.1, 3.1.1 and 5.0
