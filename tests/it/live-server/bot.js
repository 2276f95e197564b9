// A player who walks and builds for some seconds: node bot.js PORT SECONDS
const { createBot } = require('mineflayer')
const port = +process.argv[2], seconds = +process.argv[3]
const bot = createBot({ host: '127.0.0.1', port, username: 'walker', version: '1.16.1', auth: 'offline' })
let n = 0
bot.on('spawn', () => {
  console.log('spawned')
  bot.setControlState('forward', true); bot.setControlState('sprint', true)
  setInterval(() => { bot.setControlState('jump', n % 3 === 0); n++; bot.look(n / 7, 0)
    const p = bot.entity.position; bot.chat(`/setblock ${Math.floor(p.x)} ${Math.floor(p.y) - 1} ${Math.floor(p.z)} ${1 + n % 20}`) }, 200)
})
bot.on('error', e => console.log('error', e.message)); bot.on('kicked', r => console.log('kicked', r))
setTimeout(() => process.exit(0), seconds * 1000)
