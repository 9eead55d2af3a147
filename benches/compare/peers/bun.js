// The peer `bun`: a room per path, every message published to everyone in it, its sender included.
const port = Number(process.argv[2]);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port,
  fetch(request, server) {
    const room = new URL(request.url).pathname;
    if (server.upgrade(request, { data: room })) return;
    return new Response("upgrade expected", { status: 426 });
  },
  websocket: {
    perMessageDeflate: false,
    idleTimeout: 0,
    maxPayloadLength: 32 << 20,
    backpressureLimit: 1 << 30,
    closeOnBackpressureLimit: false,
    publishToSelf: true,
    open(socket) {
      socket.subscribe(socket.data);
    },
    message(socket, message) {
      // By the server, not by the socket: the same engine call, without the extra lookup of the sender.
      server.publish(socket.data, message);
    },
  },
});

console.log(`listening on ${server.port}`);
