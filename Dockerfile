# The engine as an image: two stages, so that npm and its cache stay out of it; nothing in it is writable by its user.
# The base is there for amd64 and arm64, and no dependency is bound to either: docker buildx build --platform ...
FROM node:24-alpine AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm install --omit=dev --no-audit --no-fund && npm cache clean --force

FROM node:24-alpine
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY engine ./engine
COPY steppers ./steppers
COPY analyzers ./analyzers
# A number, because runAsNonRoot cannot judge a name. It is the user `node` of the base image.
USER 1000:1000
EXPOSE 8080
# Flags are appended: docker run serin --help
ENTRYPOINT ["node", "engine/main.ts"]
