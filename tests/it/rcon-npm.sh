#!/bin/bash
# A second opinion on the protocol: clients that others wrote, against the stand-in that our client is tested with.
# (npm has clients of RCON, but no server.) npm brings them into a folder beside the build; without npm, Node or a registry the test says so
# and is skipped.
. "${0%/*}/lib.sh"
. "${0%/*}/job-lib.sh"
modules=${MCFS_NODE_MODULES:-${TMPDIR:-/tmp}/mcfs-test-node}

command -v node >/dev/null && command -v npm >/dev/null || skip "no Node.js or no npm here"
if [ ! -d "$modules/node_modules/rcon-client" ] || [ ! -d "$modules/node_modules/rcon" ]; then
	mkdir -p "$modules"
	(cd "$modules" && timeout 120 npm install --no-audit --no-fund rcon-client rcon >"$work/npm" 2>&1) ||
		skip "npm cannot install rcon-client and rcon"
fi
export NODE_PATH=$modules/node_modules

start_console 100
check "rcon-client: log in, commands, a flush, a long answer, a wrong password"
cat >"$work/one.js" <<'END'
const { Rcon } = require('rcon-client')
async function main () {
  const rcon = await Rcon.connect({ host: '127.0.0.1', port: +process.argv[2], password: 'secret', timeout: 5000 })
  const say = []
  for (const c of ['save-off', 'save-all flush', 'save-on', 'list']) say.push(await rcon.send(c))
  if (!/disabled/.test(say[0]) || say[1] !== 'Saved the game' || !/enabled/.test(say[2])) throw new Error(say.join('|'))
  await rcon.end()
  let refused = false
  try {
    await Rcon.connect({ host: '127.0.0.1', port: +process.argv[2], password: 'wrong', timeout: 5000 })
  } catch (e) { refused = true }
  if (!refused) throw new Error('a wrong password is taken')
}
main().then(() => process.exit(0), e => { console.error(e); process.exit(1) })
END
expect 0 timeout 30 node "$work/one.js" "$rcon_port"
[ "$(head -n 3 "$work/console" | tr '\n' ,)" = 'save-off,save-all flush,save-on,' ] || fail "other commands arrived"

check "rcon: log in and a command"
cat >"$work/two.js" <<'END'
const Rcon = require('rcon')
const c = new Rcon('127.0.0.1', +process.argv[2], 'secret')
c.on('auth', () => c.send('list'))
c.on('response', s => { if (s) process.exit(/players online/.test(s) ? 0 : 1) })
c.on('error', e => { console.error(e); process.exit(1) })
c.connect()
setTimeout(() => process.exit(2), 10000)
END
expect 0 timeout 30 node "$work/two.js" "$rcon_port"
