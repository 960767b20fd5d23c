//! Addresses and URLs of MQTT Servers, and sockets
