const mc = require('flying-squid')
// A third-party server (1.16.1) on loopback, writing its world while it runs: node server.js FOLDER PORT
const dir = process.argv[2], port = +process.argv[3]
mc.createMCServer({ motd: 't', port, 'max-players': 10, 'online-mode': false, logging: false, gameMode: 1, difficulty: 1,
  worldFolder: dir, generation: { name: 'diamond_square', options: { worldHeight: 80 } }, kickTimeout: 60000, plugins: {}, modpe: false,
  'view-distance': 6, 'player-list-text': { header: { text: '' }, footer: { text: '' } }, 'everybody-op': true, 'max-entities': 100, version: '1.16.1', 'max-connections': 10 })
