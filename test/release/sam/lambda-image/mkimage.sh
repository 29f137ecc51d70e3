#!/bin/bash
# mkimage.sh [NODE_MAJOR]   Makes a local stand-in for the image public.ecr.aws/lambda/nodejs:MAJOR-x86_64, for machines that
# cannot pull it; `sam local invoke --skip-pull-image` then uses it, with the runtime interface emulator that SAM adds.
# In it: Node from the npm package `node`, AWS's runtime interface client from the npm package `aws-lambda-ric`, busybox.
# Not in it: an AWS SDK, Amazon Linux. Needs npm, a Docker daemon, Debian's busybox-static and ca-certificates, x86_64; compiles nothing.
set -euo pipefail
major=${1:-24} here=$(cd "$(dirname "$0")" && pwd) image=public.ecr.aws/lambda/nodejs:${1:-24}-x86_64
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund "node@$major"
npm pack --silent aws-lambda-ric@4.0.2 >/dev/null && tar xzf aws-lambda-ric-*.tgz
node=$work/node_modules/node/bin/node root=$work/root lib=lib/x86_64-linux-gnu

mkdir -p "$root"/{bin,etc/ssl/certs,lib64,$lib,opt,proc,sys,dev,root,usr/bin,var/{lang/bin,runtime,rapid,task}}
mkdir -m 1777 "$root/tmp"
cp /bin/busybox "$root/bin/"
for applet in sh mv cp rm ls cat env chmod mkdir ln sleep; do ln -s busybox "$root/bin/$applet"; done # SAM's own layer runs sh, mv and chmod
cp "$node" "$root/var/lang/bin/node"
ldd "$node" | awk '/=> \//{print $3} /^\t\/lib64/{print $1}' | sort -u | while read -r so; do mkdir -p "$root$(dirname "$so")"; cp -L "$so" "$root$so"; done
for so in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do cp -L "/$lib/$so" "$root/$lib/"; done
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

cp package/index.mjs "$root/var/runtime/ric.mjs"
cp "$here/rapid-client.cjs" "$root/var/runtime/"
printf "import './rapid-client.cjs'\nawait import('./ric.mjs')\n" >"$root/var/runtime/index.mjs" # `sam local invoke -d` starts this file itself
cat >"$root/var/runtime/bootstrap" <<SH
#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_nodejs$major.x
export NODE_PATH=/opt/nodejs/node$major/node_modules:/opt/nodejs/node_modules:/var/runtime/node_modules:/var/runtime:/var/task
exec /var/lang/bin/node /var/runtime/index.mjs
SH
cat >"$root/lambda-entrypoint.sh" <<'SH'
#!/bin/sh
[ -n "$1" ] && export _HANDLER="$1"
[ -n "$AWS_LAMBDA_RUNTIME_API" ] || exec /var/rapid/aws-lambda-rie /var/runtime/bootstrap
exec /var/runtime/bootstrap
SH
chmod 755 "$root/var/runtime/bootstrap" "$root/lambda-entrypoint.sh" "$root/var/lang/bin/node"

tar -C "$root" -c . | docker import --platform linux/amd64 \
  -c 'ENV LANG=en_US.UTF-8' -c 'ENV TZ=:UTC' -c 'ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin' \
  -c 'ENV LAMBDA_TASK_ROOT=/var/task' -c 'ENV LAMBDA_RUNTIME_DIR=/var/runtime' -c 'WORKDIR /var/task' \
  -c 'ENTRYPOINT ["/lambda-entrypoint.sh"]' -c 'LABEL stand-in=true' - "$image" >/dev/null
echo "$image"
