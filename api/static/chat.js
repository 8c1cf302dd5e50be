// A chat: what is said comes as events. The pages work without it, by loading them again.
(() => {
  const talk = document.getElementById('talk');
  if (!talk || !talk.dataset.events) return;
  const said = document.getElementById('said');
  const steps = document.getElementById('steps');
  const confirm = document.getElementById('confirm');
  const withWhom = document.getElementById('with');
  const form = document.getElementById('end');
  const ANSWERS = { en: ['Yes', 'No'], es: ['Sí', 'No'], fr: ['Oui', 'Non'], de: ['Ja', 'Nein'] };
  let last = Number(talk.dataset.last || 0);

  const bubble = (m) => {
    const mine = m.by === talk.dataset.who;
    const box = document.createElement('div');
    box.className = `say say--${mine ? 'you' : m.by === 'agent' ? 'machine' : 'person'}`;
    box.dataset.id = m.id;
    const who = document.createElement('span');
    who.className = 'who';
    who.textContent = mine && talk.dataset.who === 'customer' ? 'You' : m.by === 'agent' ? 'Assistant, a machine' : m.name;
    const text = document.createElement('div');
    text.className = 'bubble';
    text.textContent = m.text;
    box.append(who, text);
    return box;
  };
  const show = (m) => {
    if (said.querySelector(`[data-id="${m.id}"]`)) return;
    last = Math.max(last, m.id);
    said.append(bubble(m));
    if (m.by !== 'customer' && steps) steps.hidden = true;
    (form ?? said.lastElementChild).scrollIntoView({ block: 'end' });
  };
  const source = new EventSource(`${talk.dataset.events}?after=${last}`);
  source.addEventListener('message', (event) => show(JSON.parse(event.data)));
  source.addEventListener('state', (event) => {
    const state = JSON.parse(event.data);
    if (confirm) {
      confirm.hidden = !state.waits_for_yes;
      const [yes, no] = ANSWERS[talk.dataset.token ? 'en' : state.language] ?? ANSWERS.en;
      [[0, yes], [1, no]].forEach(([n, word]) => {
        confirm.children[n].dataset.answer = word.toLowerCase();
        confirm.children[n].textContent = word;
      });
      if (!confirm.hidden) (form ?? confirm).scrollIntoView({ block: 'end' });
    }
    if (withWhom) withWhom.hidden = !['handed_over', 'taken'].includes(state.state);
    if (state.state === 'closed') source.close();
  });
  source.addEventListener('step', (event) => {
    if (!steps) return;
    const { step } = JSON.parse(event.data);
    steps.hidden = false;
    let done = true;
    for (const li of steps.children) {
      if (li.dataset.step === step) done = false;
      li.classList.toggle('done', done);
      li.hidden = !done && li.dataset.step !== step;
    }
  });

  const send = async (text) => {
    const body = talk.dataset.token
      ? { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: new URLSearchParams({ token: talk.dataset.token, text }) }
      : { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ text }) };
    const answer = await fetch(talk.dataset.say, { method: 'POST', ...body });
    if (!answer.ok && !answer.redirected) location.reload();
  };
  if (form?.tagName === 'FORM') form.addEventListener('submit', (event) => {
    event.preventDefault();
    const field = form.querySelector('[name=text]');
    const text = field.value.trim();
    if (!text) return;
    field.value = '';
    send(text);
  });
  confirm?.addEventListener('click', (event) => {
    const button = event.target.closest('[data-answer]');
    if (!button) return;
    confirm.hidden = true;
    send(button.dataset.answer);
  });
})();
