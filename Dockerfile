# The engine as an image: two stages, so that npm and its cache stay out of it; nothing in it is writable by its user.
# The base is there for amd64 and arm64, and no dependency is bound to either: docker buildx build --platform ...
FROM node:24-alpine AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm install --omit=dev --no-audit --no-fund && npm cache clean --force

FROM node:24-alpine
# The allocator's settings are read by glibc: for bases that have it.
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.compile-cache \
    MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=32768 MALLOC_TRIM_THRESHOLD_=65536
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY engine ./engine
COPY steppers ./steppers
COPY analyzers ./analyzers
# The cache belongs to Node's version, flags and user: it is filled as that user, who may only read it afterwards.
RUN mkdir .compile-cache && chown node .compile-cache \
    && su node -c "node --memory-saver-mode --max-semi-space-size=2 --initial-old-space-size=32 --heap-growing-percent=30 engine/compile.ts > /dev/null" \
    && chown -R root:root .compile-cache && chmod -R a+rX,go-w .compile-cache
# A number, because runAsNonRoot cannot judge a name. It is the user `node` of the base image.
USER 1000:1000
EXPOSE 8080
# Flags are appended: docker run serin --help
ENTRYPOINT ["node", "--memory-saver-mode", "--max-semi-space-size=2", "--initial-old-space-size=32", "--heap-growing-percent=30", "engine/main.ts"]
