// The peers `ws` and `ws-batched`: a room per path. Rooms below /push-pull/ and /fan-in-out/ give each message to one of
// the others in turns, all others every message to everyone.
//   ws:         a send per message and client, as the library is meant to be used.
//   ws-batched: each message framed once for all, and what one turn of the event loop brought written at once, past the
//               library, to its sockets: about the most that Node can do.
const { WebSocketServer, Sender } = require("ws");

const [port, mode] = [Number(process.argv[2]), process.argv[3]];
const rooms = new Map();
let connected = 0;

const server = new WebSocketServer({
  host: "127.0.0.1",
  port,
  backlog: 4096,
  perMessageDeflate: false,
  maxPayload: 32 << 20,
});

server.on("connection", (socket, request) => {
  let room = rooms.get(request.url);
  if (!room) rooms.set(request.url, (room = { members: new Set(), frames: [], queue: [], clients: new Map() }));
  socket.id = `client-${++connected}`;
  room.members.add(socket);
  room.queue.push(socket);
  room.clients.set(socket.id, socket);
  socket.on("close", () => {
    room.members.delete(socket);
    room.queue.splice(room.queue.indexOf(socket), 1);
    room.clients.delete(socket.id);
  });
  socket.on("error", () => {});
  socket.on("message", handler(request.url).bind(null, room, socket));
});

server.on("listening", () => console.log(`listening on ${port}`));

function handler(path) {
  if (path.startsWith("/push-pull/")) return pushPull;
  if (path.startsWith("/fan-in-out/")) return fanInOut;
  return mode === "ws-batched" ? batched : plain;
}

function plain(room, _sender, data, binary) {
  for (const member of room.members) member.send(data, { binary });
}

// The next one of the queue, which moves to its end; so does the sender, without getting anything, unless it is alone.
function next(room, sender) {
  let receiver = room.queue.shift();
  room.queue.push(receiver);
  if (receiver === sender && room.queue.length > 1) {
    receiver = room.queue.shift();
    room.queue.push(receiver);
  }
  return receiver;
}

function pushPull(room, sender, data, binary) {
  next(room, sender).send(data, { binary });
}

function fanInOut(room, sender, data) {
  const message = JSON.parse(data);
  if (message.type === "request") {
    message.origin = sender.id;
    next(room, sender).send(JSON.stringify(message));
  } else if (message.type === "reply") {
    room.clients.get(message.origin)?.send(data, { binary: false });
  }
}

function batched(room, _sender, data, binary) {
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
