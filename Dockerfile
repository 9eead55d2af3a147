# The relay in an image that holds nothing else: the program, the libraries that it is linked to, and a user to run as.
#
#   docker build -t ringrelay .
#   docker run --rm -p 8080:8080 --security-opt seccomp=deploy/seccomp.json ringrelay
#
# The profile lets io_uring through, which engines refuse by default; without it the relay runs on epoll. deploy/README.md
# says more.
FROM rust:1.90-slim-bookworm AS build
WORKDIR /build
COPY . .
RUN cargo build --release --locked --bin ringrelay \
  && strip --strip-debug target/release/ringrelay \
  && deploy/root target/release/ringrelay /image

FROM scratch
COPY --from=build /image /
USER 65532:65532
# In a container the loopback can be reached by nobody else.
ENV RINGRELAY_HOST=0.0.0.0 RINGRELAY_PORT=8080
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 CMD ["/ringrelay", "health"]
ENTRYPOINT ["/ringrelay"]
CMD ["serve"]
