// The answers of a class of 40 are counted on the teacher's page, a changed one once, also after a reload; the result is
// shown to all.

import assert from 'node:assert/strict';
import { PHONE } from '../clients/browser.js';
import { invitationOf, picture, visit } from './pages.mjs';

/** More students of the class of this page: every third chooses `third`, the others `most`. */
async function joinClass(count, most, third) {
  const given = new URLSearchParams(location.hash.slice(1));
  const relay = new URLSearchParams(location.search).get('relay').replace('http', 'ws');
  const join = (_, i) => new Promise((resolve) => {
    const socket = new WebSocket(`${relay}/channels/${given.get('channel')}/connect?token=${given.get('token')}`);
    const student = `student ${i}`;
    socket.onopen = () => socket.send(JSON.stringify({ type: 'hello', student }));
    let hasVoted = false;
    socket.onmessage = ({ data }) => {
      const { type, question } = JSON.parse(data);
      if (type === 'roll-call') socket.send(JSON.stringify({ type: 'hello', student }));
      if (type !== 'question' || hasVoted) return;
      hasVoted = true;
      const choice = question.choices.indexOf(i % 3 === 0 ? third : most);
      socket.send(JSON.stringify({ type: 'vote', student, number: question.number, choice }));
      resolve();
    };
  });
  await Promise.all(Array.from({ length: count }, join));
}

await visit('quiz.html', async (open) => {
  const teacher = await open(undefined, { viewport: { width: 660, height: 760, mobile: false } });
  await teacher.click('#teach');
  const invitation = await invitationOf(teacher);
  const ada = await open(invitation, { viewport: PHONE });
  await teacher.untilShown('#class', '1 student is here');
  await teacher.click('button', 'Ask');
  await ada.untilShown('#question', 'Which planet has the shortest day?');
  // One who comes late sees the question too.
  const ben = await open(invitation, { viewport: { ...PHONE, height: 420 } });
  await ben.untilShown('#question', 'Which planet has the shortest day?');
  const cem = await open(invitation, { viewport: PHONE });
  await teacher.untilShown('#class', '3 students are here');

  const shown = (choice, count) => [...document.querySelectorAll('.choice')]
    .some((item) => item.textContent.includes(choice) && item.querySelector('b').textContent === count);
  await ada.click('.choice', 'Mercury');
  await teacher.until(shown, 'Mercury', '1');
  await ada.click('.choice', 'Jupiter');
  await ben.click('.choice', 'Jupiter');
  await teacher.until(shown, 'Jupiter', '2');
  await teacher.until(shown, 'Mercury', '0');
  await cem.click('.choice', 'Earth');
  await teacher.untilShown('#count', '3 of 3 answered');
  await cem.evaluate(joinClass, 37, 'Jupiter', 'Earth');
  await teacher.untilShown('#count', '40 of 40 answered');
  await teacher.navigate('about:blank');
  await teacher.navigate(invitation);
  await teacher.untilShown('#class', '40 students are here');
  await teacher.untilShown('#count', '40 of 40 answered');
  assert.equal(await ben.evaluate(() => document.querySelectorAll('.choice.right').length), 0);

  await teacher.click('#reveal');
  for (const student of [ada, ben, cem]) {
    await student.until(shown, 'Jupiter', '26');
    await student.untilShown('.choice.right', 'Jupiter');
  }
  await ben.untilShown('#count', 'Right!');
  await cem.untilShown('#count', 'This was the result.');
  await ben.assertFits();
  // The bars have grown to their shares.
  const haveGrown = () => {
    const item = document.querySelector('.choice.right');
    return Math.abs(item.querySelector('i').offsetWidth - (item.clientWidth * 26) / 40) < 3;
  };
  await teacher.until(haveGrown);
  await ben.until(haveGrown);
  await picture(teacher, 'example-quiz');
  await picture(ben, 'example-quiz-phone');
});
