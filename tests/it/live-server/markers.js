// A player at spawn who marks chunks, or looks at the marks: node markers.js PORT mark|look
// One line a chunk of the 5 x 5 around spawn: "chunk X Z BLOCK", the block at (8, 100, 8) of it.
const { createBot } = require('mineflayer')
const { Vec3 } = require('vec3')
const port = +process.argv[2], what = process.argv[3]
const bot = createBot({ host: '127.0.0.1', port, username: 'marker', version: '1.16.1', auth: 'offline' })
const wait = ms => new Promise(resolve => setTimeout(resolve, ms))
bot.once('spawn', async () => {
  await wait(5000)
  const cx = Math.floor(bot.entity.position.x / 16), cz = Math.floor(bot.entity.position.z / 16)
  for (let x = cx - 2; x <= cx + 2; x++) {
    for (let z = cz - 2; z <= cz + 2; z++) {
      const at = new Vec3(x * 16 + 8, 100, z * 16 + 8)
      if (what === 'mark') {
        bot.chat(`/setblock ${at.x} ${at.y} ${at.z} 20`)
        await wait(100)
      } else {
        for (let i = 0; i < 100 && !bot.blockAt(at); i++) await wait(100)
      }
    }
  }
  await wait(2000)
  for (let x = cx - 2; x <= cx + 2; x++) {
    for (let z = cz - 2; z <= cz + 2; z++) {
      const b = bot.blockAt(new Vec3(x * 16 + 8, 100, z * 16 + 8))
      console.log('chunk', x, z, b ? b.stateId : 'unknown')
    }
  }
  // Until the server has saved what was placed.
  await wait(what === 'mark' ? 20000 : 0)
  process.exit(0)
})
bot.on('error', e => console.log('error', e.message))
bot.on('kicked', r => console.log('kicked', r))
setTimeout(() => process.exit(1), 120000)
