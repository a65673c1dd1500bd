# syntax=docker/dockerfile:1
# Sallyport as an image: docker build -t sallyport . ; deploy/compose.yaml runs it. For a build that is the same for ever, give the base by its
# digest: --build-arg BASE=docker.io/library/node:24.21.0-bookworm-slim@sha256:…
ARG BASE=docker.io/library/node:24.21.0-bookworm-slim

FROM ${BASE} AS build
WORKDIR /build
COPY package.json package-lock.json tsconfig.json ./
COPY build build
COPY src src
COPY device-sim device-sim
COPY certs/profiles certs/profiles
# None of the packages runs a script. The compiler is an optional package of its platform; the runtime that comes along is another, which the image has.
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && npm run prepare --if-present \
 && node build/package.mjs \
 && npm prune --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM ${BASE}
LABEL org.opencontainers.image.title="Sallyport" \
      org.opencontainers.image.description="Certificate authority, enrollment desk and mutual-TLS MQTT broker for fleets of devices" \
      org.opencontainers.image.licenses="Apache-2.0"
# Program and packages belong to root, and the user of the server writes its home alone: the rest may be read-only.
COPY --from=build /build/package.json /app/package.json
COPY --from=build /build/node_modules /app/node_modules
COPY --from=build /build/certs /app/certs
COPY --from=build /build/dist /app/dist
COPY bin /app/bin
COPY LICENSE README.md CHANGELOG.md /app/
COPY docs /app/docs
RUN groupadd --system --gid 10001 sallyport \
 && useradd --system --uid 10001 --gid sallyport --home-dir /var/lib/sallyport --shell /usr/sbin/nologin sallyport \
 && install -d -m 0700 -o sallyport -g sallyport /var/lib/sallyport \
 && ln -s /app/bin/sallyport.cjs /usr/local/bin/sallyport \
 && ln -s /app/bin/sallyport-sim.cjs /usr/local/bin/sallyport-sim
# With a fixed threshold glibc keeps a twentieth less for 10,000 connections: bench/README.md.
ENV SALLYPORT_HOME=/var/lib/sallyport NODE_ENV=production MALLOC_MMAP_THRESHOLD_=60000
VOLUME /var/lib/sallyport
WORKDIR /var/lib/sallyport
USER 10001:10001
# MQTT, MQTT over WebSocket, enrollment, admin API, CRLs and OCSP, metrics and health.
EXPOSE 8883 8884 8443 9443 8080 9464
# As process 1 it hears SIGTERM itself and drains, and the signer is its own child: no init is needed.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s --retries=3 CMD ["sallyport", "health"]
ENTRYPOINT ["sallyport"]
CMD ["serve"]
