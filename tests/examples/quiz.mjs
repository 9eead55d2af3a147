// Two students' answers are counted on the teacher's page, a changed one once, and the result is shown to all.

import assert from 'node:assert/strict';
import { PHONE } from '../clients/browser.js';
import { invitationOf, visit } from './pages.mjs';

await visit('quiz.html', async (open) => {
  const teacher = await open();
  await teacher.click('#teach');
  const invitation = await invitationOf(teacher);
  const ada = await open(invitation, { viewport: PHONE });
  await teacher.untilShown('#class', '1 student is here');
  await teacher.click('button', 'Ask');
  await ada.untilShown('#question', 'Which planet has the shortest day?');
  // One who comes late sees the question too.
  const ben = await open(invitation, { viewport: PHONE });
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
  assert.equal(await ben.evaluate(() => document.querySelectorAll('.choice.right').length), 0);

  await teacher.click('#reveal');
  for (const student of [ada, ben, cem]) {
    await student.until(shown, 'Jupiter', '2');
    await student.untilShown('.choice.right', 'Jupiter');
  }
  await ben.untilShown('#count', 'Right!');
  await cem.untilShown('#count', 'This was the result.');
  await ben.assertFits();
  // The bars have grown to their shares.
  const haveGrown = () => {
    const item = document.querySelector('.choice.right');
    return Math.abs(item.querySelector('i').offsetWidth - (item.clientWidth * 2) / 3) < 3;
  };
  await teacher.until(haveGrown);
  await ben.until(haveGrown);
  await teacher.screenshot('example-quiz');
  await ben.screenshot('example-quiz-phone');
});
