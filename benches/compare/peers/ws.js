// The peers `ws` and `ws-batched`: a room per path, every message to everyone in it.
//   ws:         a send per message and client, as the library is meant to be used.
//   ws-batched: each message framed once for all, and what one turn of the event loop brought written at once, past the
//               library, to its sockets: about the most that Node can do.
const { WebSocketServer, Sender } = require("ws");

const [port, mode] = [Number(process.argv[2]), process.argv[3]];
const rooms = new Map();

const server = new WebSocketServer({
  host: "127.0.0.1",
  port,
  backlog: 4096,
  perMessageDeflate: false,
  maxPayload: 32 << 20,
});

server.on("connection", (socket, request) => {
  let room = rooms.get(request.url);
  if (!room) rooms.set(request.url, (room = { members: new Set(), frames: [] }));
  room.members.add(socket);
  socket.on("close", () => room.members.delete(socket));
  socket.on("error", () => {});
  socket.on("message", (mode === "ws-batched" ? batched : plain).bind(null, room));
});

server.on("listening", () => console.log(`listening on ${port}`));

function plain(room, data, binary) {
  for (const member of room.members) member.send(data, { binary });
}

function batched(room, data, binary) {
  if (room.frames.length === 0) setImmediate(flush, room);
  const options = { fin: true, rsv1: false, opcode: binary ? 2 : 1, mask: false, readOnly: true };
  room.frames.push(...Sender.frame(data, options));
}

function flush(room) {
  const bytes = Buffer.concat(room.frames);
  room.frames.length = 0;
  for (const member of room.members) {
    if (member.readyState === member.OPEN) member._socket.write(bytes);
  }
}
